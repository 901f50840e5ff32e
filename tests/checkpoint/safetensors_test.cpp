// The safetensors reader and writer: round trips, conversions, damaged files.
#include "albef/checkpoint/safetensors.hpp"

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "albef/checkpoint/checksum.hpp"

namespace safetensors_test {

namespace fs = std::filesystem;
using albef::DType;
using albef::Error;
using albef::SafeTensors;
using albef::TensorSource;

namespace {

struct TemporaryFile {
  std::string path =
      (fs::temp_directory_path() / ("albef_safetensors_test_" + std::to_string(::getpid())))
          .string();
  ~TemporaryFile() { fs::remove(path); }
};

/// A file with this header text and `bytes` zero bytes of data.
std::string file_of(const std::string& header, std::size_t bytes) {
  const std::uint64_t size = header.size();
  std::string out(reinterpret_cast<const char*>(&size), 8);
  return out + header + std::string(bytes, '\0');
}

/// The message of the Error that opening such a file gives; empty if it opens.
std::string error_of(const std::string& content) {
  const TemporaryFile file;
  albef::write_file(file.path, content);
  try {
    SafeTensors::open(file.path);
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find(file.path) != std::string::npos);
    return e.what();
  }
  return "";
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("safetensors: what is written is read back, with shapes, order and metadata") {
  const TemporaryFile file;
  const std::vector<float> matrix{1.5f, -2, 3, 4, 5, 6};
  const std::vector<std::int64_t> ids{-7, 1ll << 40};
  const std::uint8_t flags[] = {1, 0, 1};
  const double scalar = 0.07;
  albef::write_safetensors(file.path,
                           {{"flags", DType::BOOL, {3}, flags},
                            {"b.matrix", DType::F32, {2, 3}, matrix.data()},
                            {"ids", DType::I64, {2}, ids.data()},
                            {"a.scalar", DType::F64, {}, &scalar},
                            {"nothing", DType::F32, {0, 4}, nullptr}},
                           {{"format", "pt"}, {"step", "12"}});
  const auto in = SafeTensors::open(file.path);
  REQUIRE(in.entries().size() == 5);
  CHECK(in.entries().front().name == "a.scalar");
  CHECK(in.metadata().at("step") == "12");
  CHECK(in.at("b.matrix").shape == std::vector<std::int64_t>{2, 3});
  CHECK(in.read<float>("b.matrix") == matrix);
  CHECK(in.read<std::int64_t>("ids") == ids);
  CHECK(in.read<bool>("flags") == std::vector<bool>{true, false, true});
  CHECK(in.at("a.scalar").shape.empty());
  CHECK(in.read<double>("a.scalar") == std::vector<double>{0.07});
  CHECK(in.read<float>("nothing").empty());
  CHECK(in.find("b") == nullptr);
  CHECK_THROWS_WITH_AS(in.at("b"), doctest::Contains("has no tensor 'b'"), Error);

  const std::string raw = albef::read_file(file.path);
  std::uint64_t header = 0;
  std::memcpy(&header, raw.data(), 8);
  CHECK(header % 8 == 0);
  CHECK(raw.compare(8, 14, "{\"__metadata__") == 0);
  for (const auto& entry : in.entries())  // wide types first keeps everything aligned
    CHECK(entry.begin % static_cast<std::uint64_t>(albef::dtype_bytes(entry.dtype)) == 0);
}

TEST_CASE("safetensors: order as given, data from a producer in pieces") {
  const TemporaryFile file;
  std::vector<float> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  TensorSource streamed{"z", DType::F32, {10, 100}, nullptr, {}};
  streamed.produce = [&](const TensorSource::Put& put) {
    for (std::size_t i = 0; i < 10; ++i) put(values.data() + 100 * i, 400);
  };
  const std::uint8_t byte = 9;
  albef::write_safetensors(file.path, {{"y", DType::U8, {1}, &byte}, streamed}, {},
                           albef::TensorOrder::given);
  const auto in = SafeTensors::open(file.path);
  CHECK(in.at("y").begin < in.at("z").begin);
  CHECK(in.read<float>("z") == values);  // unaligned in the file

  const std::string before = albef::read_file(file.path);
  streamed.produce = [&](const TensorSource::Put& put) { put(values.data(), 400); };
  CHECK_THROWS_WITH_AS(albef::write_safetensors(file.path, {streamed}),
                       doctest::Contains("'z' got 400 bytes, expected 4000"), Error);
  streamed.produce = [&](const TensorSource::Put& put) {
    put(values.data(), 4000);
    put(values.data(), 4);
  };
  CHECK_THROWS_WITH_AS(albef::write_safetensors(file.path, {streamed}),
                       doctest::Contains("more than 4000"), Error);
  CHECK_THROWS_WITH_AS(albef::write_safetensors(file.path, {{"a", DType::F32, {2}, nullptr}}),
                       doctest::Contains("no data"), Error);
  CHECK_THROWS_WITH_AS(albef::write_safetensors(
                           file.path, {{"a", DType::U8, {1}, &byte}, {"a", DType::U8, {1}, &byte}}),
                       doctest::Contains("twice"), Error);
  CHECK_THROWS_WITH_AS(albef::write_safetensors(file.path, {{"\xff", DType::U8, {1}, &byte}}),
                       doctest::Contains("UTF-8"), Error);
  CHECK(albef::read_file(file.path) == before);
}

TEST_CASE("safetensors: conversions") {
  const TemporaryFile file;
  // 1, -2.5, 2^-24 (the smallest subnormal), largest finite value, infinity
  const std::uint16_t half[] = {0x3c00, 0xc100, 0x0001, 0x7bff, 0xfc00};
  const std::uint16_t brain[] = {0x3f80, 0xc020, 0x7f7f};
  const std::int32_t ints[] = {-3, 70000};
  albef::write_safetensors(file.path, {{"half", DType::F16, {5}, half},
                                       {"brain", DType::BF16, {3}, brain},
                                       {"ints", DType::I32, {2}, ints}});
  const auto in = SafeTensors::open(file.path);
  const auto halves = in.read<float>("half");
  CHECK(halves[0] == 1.0f);
  CHECK(halves[1] == -2.5f);
  CHECK(halves[2] == 0x1p-24f);
  CHECK(halves[3] == 65504.0f);
  CHECK(halves[4] == -std::numeric_limits<float>::infinity());
  const auto brains = in.read<double>("brain");
  CHECK(brains[1] == -2.5);
  CHECK(brains[2] == doctest::Approx(3.3895e38));
  CHECK(in.read<float>("ints") == std::vector<float>{-3, 70000});
  CHECK(in.read<std::int64_t>("ints") == std::vector<std::int64_t>{-3, 70000});
  CHECK_THROWS_WITH_AS(in.read<std::int16_t>("ints"), doctest::Contains("70000 at 1 does not fit"),
                       Error);
  CHECK_THROWS_WITH_AS(in.read<int>("half"), doctest::Contains("whole numbers"), Error);
  CHECK(albef::dtype_of<float>() == DType::F32);
  CHECK(albef::dtype_of<std::int64_t>() == DType::I64);
  CHECK(albef::dtype_of<bool>() == DType::BOOL);
}

TEST_CASE("safetensors: damaged files are refused by name") {
  const char* good = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  CHECK(error_of(file_of(good, 8)) == "");
  CHECK(error_of(file_of("{}", 0)) == "");
  CHECK(contains(error_of(""), "0 bytes"));
  CHECK(contains(error_of("abc"), "3 bytes"));
  CHECK(contains(error_of(file_of(good, 8).substr(0, 30)), "header size"));
  CHECK(contains(error_of(std::string(100, '\xff')), "header size"));
  CHECK(contains(error_of(file_of(good, 7)), "outside"));  // cut off in the data
  CHECK(contains(error_of(file_of(good, 9)), "belong to none"));
  CHECK(contains(error_of(file_of("not json", 8)), "not JSON"));
  CHECK(contains(error_of(file_of("[1]", 0)), "not a JSON object"));
  CHECK(contains(error_of(file_of(R"({"w":3})", 0)), "'w' is not described"));
  CHECK(contains(error_of(file_of(R"({"w":{"dtype":"F32","shape":[2]}})", 8)), "data_offsets"));
  CHECK(contains(error_of(file_of(R"({"__metadata__":{"a":1}})", 0)), "'a' is not text"));

  const auto entry = [](const char* dtype, const char* shape, const char* offsets) {
    return albef::concat(R"({"w":{"dtype":)", dtype, R"(,"shape":)", shape, R"(,"data_offsets":)",
                         offsets, "}}");
  };
  const auto damaged = [&](const char* dtype, const char* shape, const char* offsets) {
    return error_of(file_of(entry(dtype, shape, offsets), 8));
  };
  CHECK(contains(damaged("\"F31\"", "[2]", "[0,8]"), "'w' has unknown dtype F31"));
  CHECK(contains(damaged("7", "[2]", "[0,8]"), "unknown dtype 7"));
  CHECK(contains(damaged("\"F32\"", "[3]", "[0,8]"), "F32 (3) needs 12"));
  CHECK(contains(damaged("\"F32\"", "[-2]", "[0,8]"), "whole numbers"));
  CHECK(contains(damaged("\"F32\"", "[2.0]", "[0,8]"), "whole numbers"));
  CHECK(contains(damaged("\"F32\"", "2", "[0,8]"), "not a list"));
  CHECK(contains(damaged("\"F32\"", "[4294967296,4294967296]", "[0,8]"), "overflows"));
  CHECK(contains(damaged("\"F32\"", "[2]", "[8,0]"), "outside"));
  CHECK(contains(damaged("\"F32\"", "[2]", "[8,16]"), "outside"));
  CHECK(contains(damaged("\"F32\"", "[2]", "[-8,0]"), "expected [begin, end]"));
  CHECK(contains(damaged("\"F32\"", "[2]", "[0]"), "expected [begin, end]"));
  CHECK(contains(damaged("\"F32\"", "[1]", "[4,8]"), "unused bytes before tensor 'w'"));

  CHECK(contains(error_of(file_of(R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},)"
                                  R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                                  8)),
                 "'b' overlaps"));
  CHECK(contains(error_of(file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                  R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                                  8)),
                 "'a' appears twice"));
}

TEST_CASE("safetensors: missing file and unwritable place") {
  CHECK_THROWS_WITH_AS(SafeTensors::open("/nowhere/x"), doctest::Contains("/nowhere/x"), Error);
  const float value = 1;
  CHECK_THROWS_WITH_AS(albef::write_safetensors("/nowhere/x", {{"a", DType::F32, {1}, &value}}),
                       doctest::Contains("/nowhere/x"), Error);
  if (fs::exists("/dev/full"))
    CHECK_THROWS_WITH_AS(albef::write_safetensors("/dev/full", {{"a", DType::F32, {1}, &value}}),
                         doctest::Contains("No space left"), Error);
}

TEST_CASE("checksum: XXH64, whatever the pieces") {
  const auto of = [](const std::string& text, std::size_t piece = 1000) {
    albef::Checksum sum;
    for (std::size_t at = 0; at < text.size(); at += piece)
      sum.add(text.data() + at, std::min(piece, text.size() - at));
    return sum.text();
  };
  // Values of the xxhash library.
  CHECK(of("") == "ef46db3751d8e999");
  CHECK(of("a") == "d24ec4f1a98c6e5b");
  CHECK(of("abc") == "44bc2cf5ad770999");
  CHECK(of("Nobody inspects the spammish repetition") == "fbcea83c8a378bf1");
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  CHECK(of(text) == "240b95edf72f18e0");
  for (std::size_t size : {31u, 32u, 33u, 63u, 64u, 100u, 300u})
    for (std::size_t piece : {1u, 3u, 8u, 31u, 32u, 33u, 64u, 65u})
      CHECK(of(text.substr(0, size), piece) == of(text.substr(0, size)));
}

namespace {

/// A file of two tensors, metadata and checksums.
std::string small_file(const std::string& path) {
  const float values[] = {1, 2, 3, 4, 5};
  const std::uint8_t bytes[] = {1, 2, 3};
  albef::write_safetensors(path,
                           {{"a.weight", DType::F32, {5}, values}, {"b", DType::U8, {3}, bytes}},
                           {{"vocab", "one\ntwo"}, {"z", ""}});
  return albef::read_file(path);
}
std::string problem_of(const std::string& path) {
  try {
    SafeTensors::open(path).verify();
  } catch (const Error& e) { return e.what(); }
  return "";
}

}  // namespace

TEST_CASE("safetensors: a changed byte anywhere is noticed, and the tensor named") {
  const TemporaryFile file;
  const std::string good = small_file(file.path);
  CHECK(problem_of(file.path) == "");
  CHECK(SafeTensors::open(file.path).metadata().size() == 2);  // without the checksums
  std::uint64_t header = 0;
  std::memcpy(&header, good.data(), 8);
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const int bit : {0, 3, 7}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      albef::write_file(file.path, bad);
      const std::string problem = problem_of(file.path);
      INFO(at, " ", bit, " ", problem);
      CHECK(problem.starts_with(file.path));
      if (at >= 8 + header)
        CHECK(contains(problem, at < 8 + header + 20 ? "'a.weight' is damaged" : "'b' is damaged"));
    }
  std::string bad = good;
  bad.back() ^= 1;
  albef::write_file(file.path, bad);
  const auto in = SafeTensors::open(file.path);
  CHECK(in.read<float>("a.weight").size() == 5);
  CHECK_THROWS_WITH_AS(in.read<int>("b"), doctest::Contains("'b' is damaged"), Error);
}

TEST_CASE("safetensors: files without checksums are read as they are; pipes get them, too") {
  const TemporaryFile file;
  albef::write_file(file.path,
                    file_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
  CHECK(problem_of(file.path) == "");
  CHECK(SafeTensors::open(file.path).at("w").checksum.empty());

  const std::string good = small_file(file.path), pipe = file.path + ".pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const float values[] = {1, 2, 3, 4, 5};
  const std::uint8_t bytes[] = {1, 2, 3};
  std::thread writer([&] {
    albef::write_safetensors(pipe,
                             {{"a.weight", DType::F32, {5}, values}, {"b", DType::U8, {3}, bytes}},
                             {{"vocab", "one\ntwo"}, {"z", ""}});
  });
  CHECK(albef::read_file(pipe) == good);
  writer.join();
  fs::remove(pipe);
}

TEST_CASE("safetensors: a file cut short while it is open is an Error") {
  const TemporaryFile file;
  std::vector<float> values(1 << 20, 1);
  albef::write_safetensors(file.path, {{"w", DType::F32, {1 << 20}, values.data()}});
  const auto in = SafeTensors::open(file.path);
  fs::resize_file(file.path, 5000);
  CHECK_THROWS_WITH_AS(in.read<float>("w"), doctest::Contains("it ends after 5000 bytes"), Error);
}

TEST_CASE("safetensors: values that must be finite are checked before a file is replaced") {
  const TemporaryFile file;
  const std::string before = small_file(file.path);
  std::vector<float> values(1000, 1);
  std::vector<double> wide(70, 1);
  const auto problem = [&] {
    try {
      TensorSource narrow{"w", DType::F32, {1000}, values.data()},
          other{"v", DType::F64, {70}, wide.data()};
      narrow.finite = other.finite = true;
      albef::write_safetensors(file.path, {narrow, other});
    } catch (const Error& e) { return std::string(e.what()); }
    return std::string();
  };
  for (const std::size_t at : {0u, 63u, 64u, 999u}) {
    values[at] = at % 2 ? NAN : -INFINITY;
    CHECK(problem() ==
          albef::concat(file.path, ": tensor 'w' is not finite at ", at, ": nothing was saved"));
    values[at] = 1;
  }
  wide[69] = INFINITY;
  CHECK(contains(problem(), "'v' is not finite at 69"));
  CHECK(albef::read_file(file.path) == before);
  wide[69] = 1;
  CHECK(problem() == "");
}

TEST_CASE("safetensors: headers of many names and of deep nesting") {
  const TemporaryFile file;
  std::string header = "{";
  constexpr int count = 40000;
  for (int i = 0; i < count; ++i)
    header +=
        albef::concat(i ? "," : "", "\"tensor.", i,
                      "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[", i, ",", i + 1, "]}");
  const auto begin = std::chrono::steady_clock::now();
  albef::write_file(file.path, file_of(header + "}", count));
  CHECK(SafeTensors::open(file.path).entries().size() == count);
  const std::uint8_t byte = 1;
  std::vector<TensorSource> sources;
  for (int i = 0; i < count; ++i)
    sources.push_back({"tensor." + std::to_string(i), DType::U8, {1}, &byte});
  albef::write_safetensors(file.path, sources);
  CHECK(problem_of(file.path) == "");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));  // not its square

  const std::string deep(100'000, '[');
  CHECK(contains(error_of(file_of("{\"w\":" + deep + std::string(100'000, ']') + "}", 0)),
                 "nested more than 64 deep"));
}

}  // namespace safetensors_test
