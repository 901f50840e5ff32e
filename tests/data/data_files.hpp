// What the data tests share: a temporary folder, small pictures, tar shards, error texts.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/file.hpp"
#include "albef/data/image.hpp"
#include "albef/data/png.hpp"

namespace data_test {

inline const std::string emoji = ALBEF_TEST_DATA "/../examples/data/emoji/emoji-";

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "albef-data-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name + "/";
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  std::string operator/(std::string_view name) const { return path_ + std::string(name); }
  std::string write(std::string_view name, std::string_view content) const {
    albef::write_file(*this / name, content);
    return *this / name;
  }

 private:
  std::string path_;
};

/// A PNG of one grey level.
inline std::vector<std::uint8_t> png(std::uint8_t level, int side = 8) {
  return albef::encode_png(albef::Image(side, side, level));
}
inline std::string as_text(const std::vector<std::uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

using TarEntries = std::vector<std::pair<std::string, std::string>>;

inline void write_tar(const std::string& path, const TarEntries& entries, bool gzip = false) {
  archive* tar = archive_write_new();
  archive_write_set_format_ustar(tar);
  if (gzip) archive_write_add_filter_gzip(tar);
  REQUIRE(archive_write_open_filename(tar, path.c_str()) == ARCHIVE_OK);
  for (const auto& [name, content] : entries) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    REQUIRE(archive_write_header(tar, entry) == ARCHIVE_OK);
    REQUIRE(archive_write_data(tar, content.data(), content.size()) ==
            static_cast<la_ssize_t>(content.size()));
    archive_entry_free(entry);
  }
  REQUIRE(archive_write_free(tar) == ARCHIVE_OK);
}

/// The message of the Error that f throws; fails the test if it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const albef::Error& error) { return error.what(); }
  FAIL("expected an Error");
  return {};
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace data_test

/// Checks that a text has a part, and shows the text if not.
#define CHECK_CONTAINS(text, part)            \
  do {                                        \
    const std::string shown_ = (text);        \
    INFO("got: ", shown_);                    \
    CHECK(data_test::contains(shown_, part)); \
  } while (false)
