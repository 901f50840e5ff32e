// Data sets made of others: a part chosen by a field, several mixed by weight, or records in
// memory.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/record.hpp"

namespace albef {

/// Records and encoded pictures held in memory. Keys are names for messages.
class MemorySource : public Source {
 public:
  /// Appends a record; `picture` is a complete PNG or JPEG file.
  void add(Record record, std::vector<std::uint8_t> picture);

  std::size_t size() const override { return records_.size(); }
  const Record& record(std::size_t index) const override { return records_.at(index); }
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;
  std::string describe(std::size_t index) const override;

 private:
  std::vector<Record> records_;
  std::vector<std::vector<std::uint8_t>> pictures_;
};

/// The records of another source that have a field with a value, e.g. "split" == "train". Records
/// that could not be read stay, so that they are reported and not lost.
///
/// An epoch visits them as the other source's epoch does, a mixture's by its weights. All epochs
/// have the length of the first: where another one of a mixture has fewer of them, it goes on with
/// those of the next.
class FilteredSource : public Source {
 public:
  /// Throws Error when no record is left.
  FilteredSource(SourcePtr source, std::string_view field, std::string_view value);

  std::size_t size() const override { return indices_.size(); }
  std::size_t epoch_size() const override { return epoch_size_; }
  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override;
  const Record& record(std::size_t index) const override;
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;
  bool same_picture(std::size_t a, std::size_t b) const override;
  std::string describe(std::size_t index) const override;

 private:
  /// Appends those of the other source's epoch that are left.
  void append_epoch(std::uint64_t seed, std::int64_t epoch, std::vector<std::uint32_t>& out) const;

  SourcePtr source_;
  static constexpr std::uint32_t nowhere = 0xffffffff;

  std::vector<std::uint32_t> indices_;  // of the other source's records
  std::vector<std::uint32_t> places_;   // of these among the indices, or nowhere
  std::size_t epoch_size_ = 0;
};

/// One part of a mixture. The weight is its share of an epoch, relative to the other weights.
struct WeightedSource {
  SourcePtr source;
  double weight = 1;
};

/// Several sources as one. Record i of part p is record (sizes of the parts before p) + i, and the
/// image ids of the parts are kept apart.
///
/// An epoch has `epoch_size` records (0: as many as there are in all), of which each part gives its
/// share by weight, rounded so that the shares add up. A part is walked through in one random order
/// after another, across epochs: it repeats a record only after all its others were seen, and a
/// part with a small weight shows other records in the next epoch.
class Mixture : public Source {
 public:
  explicit Mixture(std::vector<WeightedSource> parts, std::size_t epoch_size = 0);

  std::size_t size() const override { return records_.size(); }
  std::size_t epoch_size() const override { return epoch_size_; }
  const Record& record(std::size_t index) const override { return records_.at(index); }
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;
  bool same_picture(std::size_t a, std::size_t b) const override;
  std::string describe(std::size_t index) const override;

  std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const override;

  /// How many records of each part an epoch has.
  const std::vector<std::size_t>& shares() const { return shares_; }

 private:
  /// Largest remainders: every share is the exact one rounded down or up, their sum the epoch.
  void share_out(double weights);

  void draw(std::size_t part, std::uint64_t seed, std::int64_t epoch,
            std::vector<std::uint32_t>& drawn) const;

  std::size_t part_of(std::size_t index) const;

  std::vector<WeightedSource> parts_;
  std::vector<Record> records_;
  std::vector<std::size_t> first_, shares_;
  std::size_t epoch_size_ = 0;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE void MemorySource::add(Record record, std::vector<std::uint8_t> picture) {
  records_.push_back(std::move(record));
  pictures_.push_back(std::move(picture));
}

ALBEF_DATA_INLINE void MemorySource::read_image(std::size_t index,
                                                std::vector<std::uint8_t>& bytes) const {
  const auto& picture = pictures_.at(index);
  bytes.assign(picture.begin(), picture.end());
}

ALBEF_DATA_INLINE std::string MemorySource::describe(std::size_t index) const {
  return concat("record ", index, " (", record(index).key, ")");
}

ALBEF_DATA_INLINE FilteredSource::FilteredSource(SourcePtr source, std::string_view field,
                                                 std::string_view value)
    : source_(std::move(source)) {
  std::size_t matches = 0;
  for (std::size_t i = 0; i < source_->size(); ++i) {
    const Record& r = source_->record(i);
    const auto& values = r.values(field);
    const bool match = std::find(values.begin(), values.end(), value) != values.end();
    matches += match;
    if (match || !r.error.empty()) indices_.push_back(static_cast<std::uint32_t>(i));
  }
  require(matches > 0, "no record of ", source_->size(), " has the field '", field,
          "' with the value '", value, "'");
  places_.resize(source_->size(), nowhere);
  for (std::size_t i = 0; i < indices_.size(); ++i)
    places_[indices_[i]] = static_cast<std::uint32_t>(i);
  std::vector<std::uint32_t> first;
  append_epoch(0, 0, first);
  require(!first.empty(), "an epoch has no record with the field '", field, "' with the value '",
          value, "'; is the weight of its source too small?");
  epoch_size_ = first.size();
}

ALBEF_DATA_INLINE std::vector<std::uint32_t> FilteredSource::epoch_order(std::uint64_t seed,
                                                                         std::int64_t epoch) const {
  std::vector<std::uint32_t> order;
  constexpr int most = 1000;  // epochs without such a record
  for (int n = 0; order.size() < epoch_size_ && n < most; ++n) append_epoch(seed, epoch + n, order);
  require(order.size() >= epoch_size_, "filter: there are no records for epoch ", epoch);
  order.resize(epoch_size_);
  return order;
}

ALBEF_DATA_INLINE void FilteredSource::append_epoch(std::uint64_t seed, std::int64_t epoch,
                                                    std::vector<std::uint32_t>& out) const {
  for (const std::uint32_t record : source_->epoch_order(seed, epoch))
    if (places_[record] != nowhere) out.push_back(places_[record]);
}

ALBEF_DATA_INLINE bool FilteredSource::same_picture(std::size_t a, std::size_t b) const {
  return source_->same_picture(indices_.at(a), indices_.at(b));
}

ALBEF_DATA_INLINE const Record& FilteredSource::record(std::size_t index) const {
  return source_->record(indices_.at(index));
}

ALBEF_DATA_INLINE void FilteredSource::read_image(std::size_t index,
                                                  std::vector<std::uint8_t>& bytes) const {
  source_->read_image(indices_.at(index), bytes);
}

ALBEF_DATA_INLINE std::string FilteredSource::describe(std::size_t index) const {
  return source_->describe(indices_.at(index));
}

ALBEF_DATA_INLINE Mixture::Mixture(std::vector<WeightedSource> parts, std::size_t epoch_size)
    : parts_(std::move(parts)) {
  require(!parts_.empty(), "mixture: no source given");
  std::int64_t next_id = 0;
  double weights = 0;
  for (const auto& [source, weight] : parts_) {
    require(weight > 0 && std::isfinite(weight), "mixture: weight ", weight,
            " of a source, expected a positive number");
    require(source->size() > 0, "mixture: a source has no records");
    weights += weight;
    first_.push_back(records_.size());
    std::int64_t last_id = -1;
    for (std::size_t i = 0; i < source->size(); ++i) {
      Record copy = source->record(i);
      last_id = std::max(last_id, copy.image_id);
      copy.image_id += next_id;
      records_.push_back(std::move(copy));
    }
    next_id += last_id + 1;
  }
  epoch_size_ = epoch_size > 0 ? epoch_size : records_.size();
  share_out(weights);
}

ALBEF_DATA_INLINE void Mixture::read_image(std::size_t index,
                                           std::vector<std::uint8_t>& bytes) const {
  const std::size_t part = part_of(index);
  parts_[part].source->read_image(index - first_[part], bytes);
}

ALBEF_DATA_INLINE bool Mixture::same_picture(std::size_t a, std::size_t b) const {
  const std::size_t part = part_of(a);
  return part == part_of(b) &&
         parts_[part].source->same_picture(a - first_[part], b - first_[part]);
}

ALBEF_DATA_INLINE std::string Mixture::describe(std::size_t index) const {
  const std::size_t part = part_of(index);
  return parts_[part].source->describe(index - first_[part]);
}

ALBEF_DATA_INLINE std::vector<std::uint32_t> Mixture::epoch_order(std::uint64_t seed,
                                                                  std::int64_t epoch) const {
  std::vector<std::uint32_t> drawn;
  for (std::size_t part = 0; part < parts_.size(); ++part) draw(part, seed, epoch, drawn);
  std::vector<std::uint32_t> order = random_order(drawn.size(), seed, epoch);
  for (std::uint32_t& i : order) i = drawn[i];
  return order;
}

ALBEF_DATA_INLINE void Mixture::share_out(double weights) {
  std::vector<std::pair<double, std::size_t>> remainders;
  std::size_t given = 0;
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    const double exact = static_cast<double>(epoch_size_) * (parts_[part].weight / weights);
    shares_.push_back(static_cast<std::size_t>(exact));
    given += shares_.back();
    remainders.emplace_back(std::floor(exact) - exact, part);
  }
  std::sort(remainders.begin(), remainders.end());
  for (std::size_t i = 0; given < epoch_size_; ++i, ++given)
    ++shares_[remainders[i % remainders.size()].second];
}

ALBEF_DATA_INLINE void Mixture::draw(std::size_t part, std::uint64_t seed, std::int64_t epoch,
                                     std::vector<std::uint32_t>& drawn) const {
  const Source& source = *parts_[part].source;
  const auto length = static_cast<std::int64_t>(source.epoch_size());
  const auto share = static_cast<std::int64_t>(shares_[part]);
  std::int64_t round = -1;
  std::vector<std::uint32_t> order;
  for (std::int64_t at = epoch * share; at < (epoch + 1) * share; ++at) {
    if (at / length != round) {
      round = at / length;
      order = source.epoch_order(mix(seed, part + 1), round);
    }
    drawn.push_back(static_cast<std::uint32_t>(first_[part]) +
                    order[static_cast<std::size_t>(at % length)]);
  }
}

ALBEF_DATA_INLINE std::size_t Mixture::part_of(std::size_t index) const {
  require(index < records_.size(), "mixture: record ", index, " of ", records_.size());
  const auto after = std::upper_bound(first_.begin(), first_.end(), index);
  return static_cast<std::size_t>(after - first_.begin()) - 1;
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
