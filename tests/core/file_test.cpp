// Whole-file reading and atomic writing: every failure names the path, no failure harms a file.
#include "albef/core/file.hpp"

#include <doctest/doctest.h>

#include <filesystem>

namespace file_test {

namespace fs = std::filesystem;
using albef::AtomicFile;
using albef::Error;

namespace {

/// A fresh folder that is removed afterwards.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("albef_file_test_" + std::to_string(::getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directory(path);
  }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const char* name) const { return (path / name).string(); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), {}));
  }
};

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "";
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("read_file returns all bytes, of files whose size is not known too") {
  const Folder folder;
  const std::string content("a\0b\n\xff", 5);
  albef::write_file(folder / "x", content);
  CHECK(albef::read_file(folder / "x") == content);
  albef::write_file(folder / "empty", "");
  CHECK(albef::read_file(folder / "empty").empty());
  CHECK(albef::read_file("/proc/self/status").size() > 100);
}

TEST_CASE("read_file names the path and the reason") {
  const Folder folder;
  const auto missing = message_of([&] { albef::read_file(folder / "none"); });
  CHECK(contains(missing, "/none"));
  CHECK(contains(missing, "No such file"));
  CHECK(contains(message_of([&] { albef::read_file(folder.path.string()); }), "directory"));
  CHECK(contains(message_of([&] { albef::MappedFile(folder.path.string()); }), "directory"));
  CHECK(contains(message_of([&] { albef::MappedFile(folder / "none"); }), "No such file"));
}

TEST_CASE("MappedFile shows the bytes and keeps them when moved") {
  const Folder folder;
  albef::write_file(folder / "x", "hello");
  albef::MappedFile first(folder / "x");
  const auto* data = first.bytes().data();
  const albef::MappedFile second = std::move(first);
  CHECK(second.bytes().data() == data);
  CHECK(second.bytes().size() == 5);
  CHECK(static_cast<char>(second.bytes()[4]) == 'o');
  albef::write_file(folder / "empty", "");
  CHECK(albef::MappedFile(folder / "empty").bytes().empty());
}

TEST_CASE("AtomicFile: the old content stays until commit, and no temporary file is left") {
  const Folder folder;
  albef::write_file(folder / "x", "old");
  {
    AtomicFile file(folder / "x");
    file.write("new, but never committed");
    CHECK(folder.files() == 2);
  }
  CHECK(albef::read_file(folder / "x") == "old");
  CHECK(folder.files() == 1);

  AtomicFile file(folder / "x");
  file.write("ne");
  file.write("w");
  CHECK(albef::read_file(folder / "x") == "old");
  file.commit();
  CHECK(albef::read_file(folder / "x") == "new");
  CHECK(folder.files() == 1);
  CHECK_THROWS_AS(file.write("more"), Error);
  CHECK_THROWS_AS(file.commit(), Error);
}

TEST_CASE("AtomicFile keeps the mode of the file and follows a link") {
  const Folder folder;
  albef::write_file(folder / "x", "old");
  fs::permissions(folder / "x", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink(folder / "x", folder / "link");
  albef::write_file(folder / "link", "new");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(albef::read_file(folder / "x") == "new");
  CHECK(fs::status(folder / "x").permissions() == (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("AtomicFile: two writers of one file do not disturb each other") {
  const Folder folder;
  AtomicFile first(folder / "x"), second(folder / "x");
  first.write("first");
  second.write("second");
  first.commit();
  CHECK(albef::read_file(folder / "x") == "first");
  second.commit();
  CHECK(albef::read_file(folder / "x") == "second");
}

TEST_CASE("AtomicFile names the path and the system's reason") {
  const Folder folder;
  CHECK(contains(message_of([&] { AtomicFile(folder / "no/x"); }), "No such file"));
  CHECK(contains(message_of([&] { AtomicFile(folder.path.string()); }), "is a directory"));
  CHECK_THROWS_AS(AtomicFile(""), Error);
}

TEST_CASE("AtomicFile: a read-only folder is an Error and the file in it stays") {
  const Folder folder;
  albef::write_file(folder / "x", "old");
  fs::permissions(folder.path, fs::perms::all);
  fs::permissions(folder.path, fs::perms::owner_read | fs::perms::owner_exec |
                                   fs::perms::others_read | fs::perms::others_exec);
  const auto user = ::geteuid();
  if (user == 0) REQUIRE(::seteuid(65534) == 0);  // permissions do not bind the superuser
  const auto message = message_of([&] { albef::write_file(folder / "x", "new"); });
  if (user == 0) REQUIRE(::seteuid(0) == 0);
  fs::permissions(folder.path, fs::perms::owner_all);
  CHECK(contains(message, "/x"));
  CHECK(contains(message, "Permission denied"));
  CHECK(albef::read_file(folder / "x") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("AtomicFile: a full disk is an Error") {
  if (!fs::exists("/dev/full")) return;
  const auto message = message_of([] { albef::write_file("/dev/full", std::string(100000, 'x')); });
  CHECK(contains(message, "/dev/full"));
  CHECK(contains(message, "No space left"));
  CHECK(contains(message_of([] { albef::write_file("/dev/full", "small"); }), "No space left"));
  CHECK(fs::is_character_file("/dev/full"));
}

}  // namespace file_test
