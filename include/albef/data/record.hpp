// What a data set is: numbered records of one picture with captions, readable in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"

namespace albef {

/// A further field of a record, e.g. "split" or "keywords". A list keeps its entries apart;
/// numbers, booleans and objects are kept as their JSON text.
struct Field {
  std::string name;
  std::vector<std::string> values;
};

/// One picture and what is said about it. The picture itself stays on disk.
struct Record {
  std::string key{};                    ///< path of the picture, or the record's name in its shard
  std::vector<std::string> captions{};  ///< as found in the file, not cleaned
  std::int64_t image_id = 0;            ///< records that show the same picture share this number
  std::vector<Field> fields{};
  std::string error{};  ///< why the record cannot be used (empty: it can); then only `key` is set

  /// All values of a field; empty when the record lacks it.
  const std::vector<std::string>& values(std::string_view name) const {
    static const std::vector<std::string> none;
    for (const Field& field : fields)
      if (field.name == name) return field.values;
    return none;
  }
};

/// 0 .. size-1 in random order (Fisher-Yates), a function of (seed, epoch).
inline std::vector<std::uint32_t> random_order(std::size_t size, std::uint64_t seed,
                                               std::int64_t epoch) {
  require(size <= 0x7fffffff, "a data set has ", size, " records, expected at most 2147483647");
  std::vector<std::uint32_t> order(size);
  std::iota(order.begin(), order.end(), 0u);
  constexpr std::uint64_t purpose = 0x0DA7A001;  // no other stream of the seed has this name
  RandomStream random(seed, mix(purpose, static_cast<std::uint64_t>(epoch)));
  for (std::size_t left = size; left > 1; --left)
    std::swap(order[left - 1],
              order[static_cast<std::size_t>(random.below(static_cast<int>(left)))]);
  return order;
}

/// A data set. All records are indexed when it is opened, pictures are read when asked for. Const
/// member functions may be called by several threads at once.
class Source {
 public:
  virtual ~Source() = default;

  /// Number of records, unusable ones included.
  virtual std::size_t size() const = 0;
  virtual const Record& record(std::size_t index) const = 0;
  /// Number of records that an epoch visits.
  virtual std::size_t epoch_size() const { return size(); }
  /// The record indices of an epoch, a function of (seed, epoch) only.
  virtual std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const {
    return random_order(size(), seed, epoch);
  }
  /// Whether two records of one image_id show the same picture as far as their names tell.
  virtual bool same_picture(std::size_t a, std::size_t b) const {
    return record(a).key == record(b).key;
  }
  /// Replaces `bytes` by the encoded picture of a record. Throws Error naming file and record.
  virtual void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const = 0;
  /// The record's place for messages, e.g. "train.json: record 3 (a.png)"; counted from 0.
  virtual std::string describe(std::size_t index) const = 0;

 protected:
  Source() = default;
  Source(const Source&) = default;
  Source& operator=(const Source&) = default;
};

using SourcePtr = std::shared_ptr<const Source>;

}  // namespace albef
