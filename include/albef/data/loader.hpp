// The training loader: shuffled batches of augmented pictures and masked captions, prepared ahead
// by worker threads; what it yields is a function of seed, epoch and position only.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/captions.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/pair_batch.hpp"
#include "albef/data/prefetch.hpp"
#include "albef/data/record.hpp"
#include "albef/data/transform.hpp"
#include "albef/text/masking.hpp"
#include "albef/text/wordpiece.hpp"

namespace albef {

struct LoaderOptions {
  int batch_size = 64;
  int workers = 2;   ///< threads that prepare batches; 0: the caller's thread does it
  int prefetch = 4;  ///< batches in flight or ready, the one in use included
  std::uint64_t seed = 42;
  bool shuffle = true;             ///< false: records in the order of the source
  bool drop_last = true;           ///< false: an epoch ends with a smaller batch
  int max_words = 30;              ///< caption clean-up; see pre_caption
  EncodeOptions encode{};          ///< at most 25 tokens by default
  float mask_probability = 0.15f;  ///< 0: PairBatch::masked stays empty
  DecodeOptions decode{};
  /// Share of unusable records at which the run stops: of those seen so far, but judged over at
  /// least 1000 (or all) records, and one is always allowed unless the share is 0.
  double max_bad_share = 0.01;
  /// Called with file, record and reason when a record is skipped for the first time, on the thread
  /// that calls next().
  std::function<void(const std::string&)> on_bad_record = [](const std::string& message) {
    std::fprintf(stderr, "skipped %s\n", message.c_str());
  };
};

/// A place in a run, to be saved with a checkpoint: the batch that next() returns next.
struct LoaderPosition {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;
  bool operator==(const LoaderPosition&) const = default;
};

namespace detail {

/// Reads and decodes a record's picture; every Error names the record.
inline Image load_picture(const Source& source, std::size_t index, std::vector<std::uint8_t>& bytes,
                          const DecodeOptions& options) {
  source.read_image(index, bytes);
  try {
    return decode_image(bytes, source.record(index).key, options);
  } catch (const Error& error) { fail(source.describe(index), ": ", error.what()); }
}

}  // namespace detail

/// Yields the batches of one epoch after another, without end.
///
/// Each epoch visits the records in the source's random order for (seed, epoch). The sample at a
/// position takes one of its record's captions at random, the picture's random transform and the
/// token masks from streams that (seed, epoch, position) name: the number of workers and their
/// timing never show. A record that cannot be used (picture missing or damaged, caption empty, ...)
/// is replaced by one drawn from elsewhere in the epoch, reported once and counted; see
/// LoaderOptions::max_bad_share.
///
/// The tokenizer must outlive the loader. One thread calls the member functions.
class Loader {
 public:
  /// `transform`: TrainTransform, or anything with a `size` that is called like it. Throws Error
  /// for options out of range, or a batch larger than the epoch.
  template <class Transform>
  Loader(SourcePtr source, const WordPiece& tokenizer, Transform transform, LoaderOptions options)
      : source_(std::move(source)),
        tokenizer_(tokenizer),
        image_size_(checked(transform).size),
        transform_(std::move(transform)),
        options_(std::move(options)),
        masking_(masking_options(tokenizer)),
        workers_(static_cast<std::size_t>(std::max(options_.workers, 1))),
        prefetcher_(options_.workers, options_.prefetch,
                    [this](std::int64_t number, int worker, Slot& slot) {
                      produce(number, workers_[static_cast<std::size_t>(worker)], slot);
                    }) {
    check();
  }

  /// The next batch, valid until the next call. Throws Error when too many records are unusable.
  PairBatch& next() {
    if (!prefetcher_.started()) prefetcher_.start(number_of(position_));
    if (++position_.batch == batches_per_epoch()) ++position_.epoch, position_.batch = 0;
    Slot& slot = prefetcher_.next();
    report(slot);
    return slot.batch;
  }

  /// Where the next batch is; a loader with the same source and options that is set to it with
  /// seek() goes on exactly as this one.
  LoaderPosition position() const { return position_; }

  /// The next batch will be the one at `position`. Throws Error if there is no such batch.
  void seek(const LoaderPosition& position) {
    require(position.epoch >= 0 && position.batch >= 0 && position.batch < batches_per_epoch(),
            "loader position epoch ", position.epoch, ", batch ", position.batch,
            ", expected a batch below ", batches_per_epoch(), ": other data or batch size?");
    prefetcher_.stop();
    position_ = position;
  }

  std::int64_t batches_per_epoch() const {
    const std::int64_t batch = options_.batch_size;
    return options_.drop_last ? epoch_size() / batch : (epoch_size() + batch - 1) / batch;
  }
  /// Number of different unusable records met so far.
  std::size_t bad_records() const { return bad_.size(); }
  const LoaderOptions& options() const { return options_; }

 private:
  using Order = std::vector<std::uint32_t>;
  using Transform =
      std::function<void(const Image&, RandomStream&, std::span<std::uint8_t>, TransformBuffers&)>;
  struct BadRecord {
    std::size_t index;
    std::string message;
  };
  struct Slot {
    PairBatch batch;
    std::vector<BadRecord> bad;
    bool complete = true;
  };
  struct Worker {  // buffers kept from sample to sample
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> ids;
    TransformBuffers transform;
    MaskDraws draws;
  };
  enum class Stream : std::uint64_t { sample = 0x0DA7A002, replacement, mask };

  static constexpr int max_replacements = 100;

  template <class T>
  static const T& checked(const T& transform) {
    if constexpr (requires { transform.check(); }) transform.check();
    return transform;
  }

  void check() const {
    require(source_ != nullptr, "loader: no source given");
    require(options_.batch_size > 0, "batch_size is ", options_.batch_size,
            ", expected at least 1");
    require(options_.batch_size <= epoch_size(), "batch_size is ", options_.batch_size,
            ", but an epoch has only ", epoch_size(), " records");
    require(image_size_ > 0, "the image size is ", image_size_, ", expected a positive number");
    require(options_.mask_probability >= 0 && options_.mask_probability <= 1,
            "mask_probability is ", options_.mask_probability, ", expected 0 to 1");
    require(options_.max_bad_share >= 0 && options_.max_bad_share <= 1, "max_bad_share is ",
            options_.max_bad_share, ", expected 0 to 1");
  }

  std::int64_t epoch_size() const {
    return static_cast<std::int64_t>(options_.shuffle ? source_->epoch_size() : source_->size());
  }
  std::int64_t number_of(const LoaderPosition& p) const {
    return p.epoch * batches_per_epoch() + p.batch;
  }
  RandomStream stream(Stream purpose, std::int64_t epoch, std::int64_t position) const {
    const auto name = mix(static_cast<std::uint64_t>(purpose), static_cast<std::uint64_t>(epoch));
    return {options_.seed, mix(name, static_cast<std::uint64_t>(position))};
  }

  void produce(std::int64_t number, Worker& worker, Slot& slot) {
    PairBatch& batch = slot.batch;
    batch.epoch = number / batches_per_epoch();
    batch.batch = number % batches_per_epoch();
    const std::int64_t first = batch.batch * options_.batch_size;
    batch.size =
        static_cast<int>(std::min<std::int64_t>(options_.batch_size, epoch_size() - first));
    batch.image_size = image_size_;
    batch.images.resize(static_cast<std::size_t>(batch.size) * image_bytes());
    batch.text.clear();
    batch.image_ids.clear();
    batch.indices.clear();
    slot.bad.clear();
    slot.complete = true;

    const std::shared_ptr<const Order> order = order_of(batch.epoch);
    for (int i = 0; i < batch.size && slot.complete; ++i)
      slot.complete = fill(*order, i, worker, slot);

    batch.masked.clear();
    if (options_.mask_probability <= 0) return;
    MaskingOptions masking = masking_;
    masking.probability = options_.mask_probability;
    RandomStream random = stream(Stream::mask, batch.epoch, batch.batch);
    mask_tokens(batch.text, masking, random, worker.draws, batch.masked);
  }

  /// Fills row i of the batch with its record or, where that is unusable, with a replacement from
  /// outside the batch, so that a picture does not meet itself. False if none was found.
  bool fill(const Order& order, int i, Worker& worker, Slot& slot) const {
    const PairBatch& batch = slot.batch;
    const std::int64_t first = batch.batch * options_.batch_size, position = first + i;
    RandomStream replacement = stream(Stream::replacement, batch.epoch, position);
    std::int64_t at = position;
    for (int attempt = 0; attempt <= max_replacements; ++attempt) {
      const std::size_t index = order[static_cast<std::size_t>(at)];
      try {
        take(index, position, i, worker, slot.batch);
        return true;
      } catch (const Error& error) { slot.bad.push_back({index, error.what()}); }
      const auto size = epoch_size();
      const auto outside = size > batch.size ? size - batch.size : size;
      at = (first + batch.size + replacement.below(static_cast<int>(outside))) % size;
    }
    return false;
  }

  /// Throws Error naming the record if it is unusable; the batch is then as before.
  void take(std::size_t index, std::int64_t position, int i, Worker& worker,
            PairBatch& batch) const {
    const Record& record = source_->record(index);
    if (!record.error.empty()) fail(source_->describe(index), ": ", record.error);
    RandomStream random = stream(Stream::sample, batch.epoch, position);
    encode_caption(index, random, worker.ids);
    const Image image = detail::load_picture(*source_, index, worker.bytes, options_.decode);
    const auto row =
        std::span(batch.images).subspan(static_cast<std::size_t>(i) * image_bytes(), image_bytes());
    transform_(image, random, row, worker.transform);
    batch.text.add(worker.ids);
    batch.image_ids.push_back(record.image_id);
    batch.indices.push_back(static_cast<std::int64_t>(index));
  }

  /// One of the record's captions at random; if it is unusable, the next that is not.
  void encode_caption(std::size_t index, RandomStream& random,
                      std::vector<std::int32_t>& ids) const {
    const auto& captions = source_->record(index).captions;
    const std::size_t count = captions.size();
    require(count > 0, source_->describe(index), ": there is no caption");
    const auto drawn = static_cast<std::size_t>(random.below(static_cast<int>(count)));
    for (std::size_t n = 0;; ++n) {
      try {
        const std::string& caption = captions[(drawn + n) % count];
        tokenizer_.encode(clean_caption(caption, options_.max_words), options_.encode, ids);
        return;
      } catch (const Error& error) {
        if (n + 1 == count) fail(source_->describe(index), ": ", error.what());
      }
    }
  }

  std::size_t image_bytes() const {
    return static_cast<std::size_t>(image_size_) * static_cast<std::size_t>(image_size_) * 3;
  }

  /// The record indices of an epoch; those of the epochs in flight are kept.
  std::shared_ptr<const Order> order_of(std::int64_t epoch) {
    const std::lock_guard lock(order_mutex_);
    for (const auto& [number, order] : orders_)
      if (number == epoch) return order;
    auto order = std::make_shared<Order>();
    if (options_.shuffle) {
      *order = source_->epoch_order(options_.seed, epoch);
    } else {
      order->resize(source_->size());
      std::iota(order->begin(), order->end(), 0u);
    }
    std::rotate(orders_.begin(), orders_.end() - 1, orders_.end());
    orders_.front() = {epoch, std::move(order)};
    return orders_.front().second;
  }

  /// Counts and names the unusable records of a batch; stops the run when there are too many.
  void report(const Slot& slot) {
    seen_ += slot.batch.size;
    for (const BadRecord& record : slot.bad)
      if (bad_.insert(record.index).second && options_.on_bad_record)
        options_.on_bad_record(record.message);
    if (slot.bad.empty()) return;

    const std::int64_t size = epoch_size();
    const auto judged = std::max(std::min(seen_, size), std::min<std::int64_t>(size, 1000));
    const auto share =
        static_cast<std::size_t>(options_.max_bad_share * static_cast<double>(judged) + 1e-6);
    const std::size_t allowed = options_.max_bad_share > 0 ? std::max<std::size_t>(share, 1) : 0;
    if (bad_.size() > allowed || !slot.complete)
      fail(bad_.size(), " unusable records among the first ", seen_, " of ", size,
           ", more than the ", allowed, " that max_bad_share ", options_.max_bad_share,
           " allows; the last: ", slot.bad.back().message);
  }

  SourcePtr source_;
  const WordPiece& tokenizer_;
  int image_size_;
  Transform transform_;
  LoaderOptions options_;
  MaskingOptions masking_;
  LoaderPosition position_;
  std::int64_t seen_ = 0;
  std::unordered_set<std::size_t> bad_;
  std::mutex order_mutex_;
  std::array<std::pair<std::int64_t, std::shared_ptr<const Order>>, 3> orders_{
      {{-1, nullptr}, {-1, nullptr}, {-1, nullptr}}};
  std::vector<Worker> workers_;
  Prefetcher<Slot> prefetcher_;  // last: its threads use the members above
};

}  // namespace albef
