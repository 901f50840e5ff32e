// Tar files as disks, downloads and other programs leave them.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "albef/data/unpack.hpp"
#include "albef/data/webdataset.hpp"
#include "data_files.hpp"

namespace shard_damage_test {

using albef::WebDataset;
using data_test::error_of;
using data_test::TemporaryFolder;
using Strings = std::vector<std::string>;

namespace {

/// A shard of six records, each a header of 512 bytes, a picture in 1024, a header, a text in 512.
constexpr std::size_t record_size = 2560;

std::string six_records(const TemporaryFolder& folder) {
  data_test::TarEntries entries;
  for (const std::string key : {"a", "b", "c", "d", "e", "f"}) {
    entries.push_back({key + ".png", key + std::string(999, 'p')});
    entries.push_back({key + ".txt", "text " + key});
  }
  data_test::write_tar(folder / "six.tar", entries);
  return albef::read_file(folder / "six.tar");
}

struct Opened {
  std::string usable;  // keys
  Strings bad, warnings;
};

Opened open(const std::string& path, const albef::UnpackLimits& unpack = {}) {
  Opened out;
  const WebDataset data(
      path, {.unpack = unpack, .warn = [&](const std::string& w) { out.warnings.push_back(w); }});
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const albef::Record& record = data.record(i);
    if (!record.error.empty()) {
      out.bad.push_back(record.key + ": " + record.error);
      continue;
    }
    data.read_image(i, bytes);
    CHECK(data_test::as_text(bytes).substr(0, 2) == record.key.substr(0, 1) + "p");
    out.usable += record.key;
  }
  return out;
}

}  // namespace

TEST_CASE("shards: what stands behind a damaged place is used, the place named and counted") {
  const TemporaryFolder folder;
  const std::string whole = six_records(folder);
  const auto open_damaged = [&](std::size_t at, const std::string& bytes) {
    std::string damaged = whole;
    damaged.replace(at, bytes.size(), bytes);
    return open(folder.write("d.tar", damaged));
  };
  CHECK(open(folder / "six.tar").usable == "abcdef");
  CHECK(open(folder / "six.tar").warnings.empty());

  for (const std::size_t field : {3u, 130u, 150u, 156u, 258u}) {  // of the header of c.png
    CAPTURE(field);
    const Opened found = open_damaged(2 * record_size + field, "#");
    CHECK(found.usable == "abdef");
    REQUIRE(found.bad.size() == 1);
    CHECK_CONTAINS(found.bad[0], "c: cut or damaged");
    REQUIRE(found.warnings.size() == 1);
    CHECK_CONTAINS(found.warnings[0], "at byte 5120 of");
    CHECK_CONTAINS(found.warnings[0], "; it goes on at byte 6656; 5 records of it can be used");
  }
  for (const std::size_t zeros : {512u, 1024u, 2560u, 5120u}) {  // a hole, from c.png on
    CAPTURE(zeros);
    const Opened found = open_damaged(2 * record_size, std::string(zeros, '\0'));
    CHECK(found.usable == (zeros == 5120 ? "abef" : "abdef"));
    REQUIRE(found.bad.size() == 1);
    CHECK_CONTAINS(found.bad[0], "an end mark in the middle, at byte 5120");
    CHECK(found.warnings.size() == 1);
  }
  const Opened text = open_damaged(2 * record_size + 1536, "#");  // the header of c.txt
  CHECK(text.usable == "abdef");
  REQUIRE(text.bad.size() == 1);
  CHECK_CONTAINS(text.bad[0], "c: cut or damaged");

  std::string missing = whole;
  missing.erase(2 * record_size + 700, 300);  // what follows is not at a multiple of 512
  const Opened shifted = open(folder.write("d.tar", missing));
  CHECK_CONTAINS(shifted.usable, "def");
  CHECK(shifted.bad.size() == 1);
}

TEST_CASE("shards: damage in files that are of no record is counted, too") {
  const TemporaryFolder folder;
  data_test::write_tar(folder / "a.tar", {{"a.cls", "3"}, {"b.cls", "4"}, {"b.png", "bp"}});
  std::string bytes = albef::read_file(folder / "a.tar");
  bytes[1024] = '#';  // the header of b.cls
  const Opened found = open(folder.write("d.tar", bytes));
  CHECK(found.usable.empty());
  REQUIRE(found.bad.size() == 1);
  CHECK_CONTAINS(found.bad[0], "b: cut or damaged");
  CHECK(found.warnings.size() == 1);
}

TEST_CASE("shards: the end mark is two blocks of zeros and nothing behind it") {
  const TemporaryFolder folder;
  const std::string whole = six_records(folder), files = whole.substr(0, 6 * record_size);
  const auto problem = [&](const std::string& tar) {
    const Opened found = open(folder.write("d.tar", tar));
    CHECK(found.usable == "abcdef");
    CHECK(found.bad.size() == found.warnings.size());
    return found.bad.empty() ? std::string() : found.bad.back();
  };
  CHECK(problem(files + std::string(1024, '\0')).empty());
  CHECK(problem(files + std::string(1500, '\0')).empty());
  CHECK_CONTAINS(problem(files), "cut: it ends without an end mark, at byte 15360");
  CHECK_CONTAINS(problem(files + std::string(512, '\0')), "cut: it ends within its end mark");
  CHECK_CONTAINS(problem(whole + "more"), "something that is no tar behind the end mark");
  const Opened joined = open(folder.write("d.tar", whole + whole));
  CHECK(joined.usable == "abcdefabcdef");
  CHECK(joined.bad.size() == 1);
  // Between two records only the missing mark tells.
  const Opened half = open(folder.write("d.tar", whole.substr(0, 3 * record_size)));
  CHECK(half.usable == "abc");
  CHECK(half.bad.size() == 1);
  CHECK_CONTAINS(half.warnings.at(0), "3 records of it can be used");
}

TEST_CASE("shards: sparse files, links, and names that lead out of the folder") {
  const TemporaryFolder folder;
  const std::string path = folder / "s.tar";
  archive* const tar = archive_write_new();
  archive_write_set_format_pax(tar);
  REQUIRE(archive_write_open_filename(tar, path.c_str()) == ARCHIVE_OK);
  const auto add = [&](const char* name, const std::string& content, bool sparse = false,
                       const char* link = nullptr) {
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    if (link) archive_entry_set_hardlink(entry, link);
    if (sparse) {
      archive_entry_sparse_add_entry(entry, 0, 1024);
      archive_entry_sparse_add_entry(entry, 50000, 100);
    }
    REQUIRE(archive_write_header(tar, entry) == ARCHIVE_OK);
    if (!content.empty()) REQUIRE(archive_write_data(tar, content.data(), content.size()) >= 0);
    archive_entry_free(entry);
  };
  std::string holes(60000, '\0');
  holes.replace(0, 2, "ap"), holes.replace(50000, 3, "end");
  add("a.png", holes, true);
  add("a.txt", "text");
  add("../b.png", "bp");
  add("../b.txt", "text");
  add("./c.png", "", false, "../b.png");
  add("./c.txt", "text");
  add("d.png", "", false, "none.png");
  add("d.txt", "text");
  REQUIRE(archive_write_free(tar) == ARCHIVE_OK);
  CHECK(albef::read_file(path).size() < 30000);  // the holes are not in it

  const WebDataset data(path);
  REQUIRE(data.size() == 4);
  std::vector<std::uint8_t> bytes;
  data.read_image(0, bytes);
  CHECK(data_test::as_text(bytes) == holes);
  CHECK(data.record(1).key == "../b");
  data.read_image(2, bytes);
  CHECK(data_test::as_text(bytes) == "bp");
  CHECK_CONTAINS(data.record(3).error, "'d.png' is a link to 'none.png', which is not there");
}

TEST_CASE("shards: packed ones are verified, bounded and unpacked once") {
  const TemporaryFolder folder;
  six_records(folder);
  const std::string path = folder / "six.tar";
  for (const std::string packer : {"gzip", "bzip2", "xz"}) {
    CAPTURE(packer);
    REQUIRE(std::system((packer + " -c " + path + " > " + path + "." + packer).c_str()) == 0);
    CHECK(open(path + "." + packer).usable == "abcdef");
    CHECK(open(path + "." + packer).bad.empty());
  }
  const std::string packed = albef::read_file(path + ".gzip");
  CHECK(open(folder.write("two.gz", packed + std::string(100, '\0'))).bad.empty());
  std::string wrong = packed;
  wrong[wrong.size() - 6] ^= 1;  // the checksum
  const Opened checked = open(folder.write("wrong.gz", wrong));
  REQUIRE(checked.bad.size() == 1);
  CHECK_CONTAINS(checked.bad[0], "gzip: damaged before byte");
  const Opened cut = open(folder.write("cut.gz", packed.substr(0, packed.size() - 9)));
  REQUIRE(cut.bad.size() == 1);
  CHECK_CONTAINS(cut.bad[0], "gzip: the file is cut off");

  REQUIRE(std::system(("gzip -c " + path + ".gzip > " + path + ".twice").c_str()) == 0);
  CHECK_CONTAINS(error_of([&] { open(path + ".twice"); }), "six.tar.twice");
  const albef::UnpackLimits tight{.factor = 2, .always = 100};
  CHECK_CONTAINS(error_of([&] { open(path + ".gzip", tight); }), "bytes unpack to more than");
  CHECK(albef::UnpackLimits{}.of(1 << 20) == std::size_t{256} << 20);
  CHECK(albef::UnpackLimits{}.of(10) == std::size_t{64} << 20);
  CHECK(albef::UnpackLimits{}.of(static_cast<std::size_t>(-1)) > 1 << 30);
}

TEST_CASE("shards: a pipe is refused and does not block") {
  const TemporaryFolder folder;
  const std::string pipe = folder / "pipe.tar";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_CONTAINS(error_of([&] { open(pipe); }), "pipe.tar': it is a pipe");
}

}  // namespace shard_damage_test
