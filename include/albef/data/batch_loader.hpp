// Shuffled batches prepared ahead by worker threads, whatever a sample of them is: what a loader
// yields is a function of seed, epoch and position only.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/error.hpp"
#include "albef/core/rng.hpp"
#include "albef/data/bad_records.hpp"
#include "albef/data/codec.hpp"
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
  bool shuffle = true;  ///< false: records in the order of the source
  /// Records about the same picture come one after the other, so that it is read and encoded once
  /// for all of them: a step then costs a fraction where questions or statements share pictures.
  bool by_picture = false;
  bool drop_last = true;           ///< false: an epoch ends with a smaller batch
  int max_words = 30;              ///< text clean-up; see clean_caption and pre_question
  EncodeOptions encode{};          ///< at most 25 tokens by default
  float mask_probability = 0.15f;  ///< captions only; 0: PairBatch::masked stays empty
  DecodeOptions decode = default_decoding();
  /// false: an unusable record is not replaced by another, its batch is smaller, perhaps empty.
  bool replace_bad = true;
  /// Share of unusable records at which the run stops: of those seen so far, but judged over at
  /// least 1000 (or all) records, and one is always allowed unless the share is 0.
  double max_bad_share = 0.01;
  /// Called when a record is skipped for the first time, on the thread that calls next().
  RecordReport on_bad_record = print_skipped;
};

/// The options for going through a data set once for evaluation: every record in order but those
/// that are unusable, texts not cut or masked. More than half of the records, or one where
/// max_bad_share was 0, is an Error.
inline LoaderOptions evaluation_options(LoaderOptions options = {}) {
  options.shuffle = options.drop_last = false;
  options.mask_probability = 0;
  options.encode.max_length = 0;
  options.replace_bad = false;
  if (options.max_bad_share > 0) options.max_bad_share = BadRecords::evaluation_share;
  return options;
}

/// The same of a model with a limited number of positions, where longer texts are cut.
inline LoaderOptions whole_set_options(LoaderOptions options, int model_positions) {
  options = evaluation_options(std::move(options));
  options.encode.max_length = model_positions;
  return options;
}

/// A place in a run, to be saved with a checkpoint: the batch that next() returns next.
struct LoaderPosition {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;
  bool operator==(const LoaderPosition&) const = default;
};

/// Work space of a worker thread, kept from sample to sample.
struct SampleBuffers {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> ids;
  TransformBuffers transform;
  MaskDraws draws;
  std::vector<std::uint8_t> mask;
  Image view;
};

/// TrainTransform, EvalTransform, or anything that has a `size` and is called like one of them,
/// behind one type. Throws Error if the transform's own check() does, or for a size of zero.
class PictureTransform {
 public:
  template <class T>
  requires(!std::same_as<T, PictureTransform>) PictureTransform(T transform)  // NOLINT: a wrapper
      : size_(checked(transform).size) {
    require(size_ > 0, "the image size is ", size_, ", expected a positive number");
    call_ = [made = std::move(transform)](PictureReader& picture, RandomStream& random,
                                          std::span<std::uint8_t> out, TransformBuffers& buffers) {
      if constexpr (requires { made(picture, random, out, buffers); })
        made(picture, random, out, buffers);
      else if constexpr (requires { made(picture, out, buffers); })
        made(picture, out, buffers);
      else if constexpr (requires { made(Image{}, random, out, buffers); })
        made(picture.read_all(), random, out, buffers);
      else
        made(picture.read_all(), out, buffers);
    };
  }

  /// Width and height of the results.
  int size() const { return size_; }
  /// Bytes of a result, size x size x 3.
  std::size_t bytes() const {
    return static_cast<std::size_t>(size_) * static_cast<std::size_t>(size_) * 3;
  }
  /// Writes picture number `row` of `images`, rows of bytes() each. The picture is decoded
  /// meanwhile; Error if it is damaged.
  void operator()(PictureReader& picture, RandomStream& random, std::span<std::uint8_t> images,
                  std::size_t row, TransformBuffers& buffers) const {
    call_(picture, random, images.subspan(row * bytes(), bytes()), buffers);
  }

 private:
  template <class T>
  static const T& checked(const T& transform) {
    if constexpr (requires { transform.check(); }) transform.check();
    return transform;
  }

  int size_;
  std::function<void(PictureReader&, RandomStream&, std::span<std::uint8_t>, TransformBuffers&)>
      call_;
};

namespace detail {

/// Opens the picture called `name` of record `index` of `set` and calls f(PictureReader&); every
/// Error names the record, that of missing memory, too.
template <class Set, class F>
auto decode_record(const Set& set, std::size_t index, const std::string& name,
                   const std::vector<std::uint8_t>& bytes, const DecodeOptions& options, F&& f) {
  return at_place(
      [&] { return set.describe(index); },
      [&] { return within_memory(name, [&] { return f(*open_picture(bytes, name, options)); }); });
}

}  // namespace detail

/// What a loader asks of a data set: how many samples there are, in which order an epoch visits
/// them, and how one becomes a row of a batch. Const member functions are called by several threads
/// at once.
///
/// A Batch has the members `size`, `image_size`, `indices` (record numbers), `epoch` and `batch`.
template <class Batch>
class Feed {
 public:
  virtual ~Feed() = default;

  virtual std::size_t size() const = 0;
  virtual std::size_t epoch_size() const { return size(); }
  /// The record numbers of an epoch, a function of (seed, epoch) only.
  virtual std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::int64_t epoch) const {
    return random_order(size(), seed, epoch);
  }
  /// Prepares a reused batch, of which `size` is set, for that many rows.
  virtual void begin(Batch& batch) const = 0;
  /// Fills row `row`, all random draws from `random`. Throws Error naming the record if it is
  /// unusable; rows, texts and labels of the batch are then as before.
  virtual void add(std::size_t index, int row, RandomStream& random, SampleBuffers& buffers,
                   Batch& batch) const = 0;
  /// Called after the last row with a stream of the batch's own. Where unusable records are not
  /// replaced, batch.size may now be smaller than it was at begin().
  virtual void end(RandomStream&, SampleBuffers&, Batch&) const {}

 protected:
  Feed() = default;
  Feed(const Feed&) = default;
  Feed& operator=(const Feed&) = default;
};

/// Yields the batches of one epoch after another, without end.
///
/// Each epoch visits the records in the feed's random order for (seed, epoch). The sample at a
/// position draws from streams that (seed, epoch, position) name: the number of workers and their
/// timing never show. A record that cannot be used (picture missing or damaged, text empty, ...) is
/// replaced by one drawn from elsewhere in the epoch, or left out, reported once and counted; see
/// LoaderOptions::replace_bad and max_bad_share.
///
/// One thread calls the member functions.
template <class Batch>
class BatchLoader {
 public:
  /// Throws Error for options out of range, or a batch larger than the epoch.
  BatchLoader(std::unique_ptr<const Feed<Batch>> feed, LoaderOptions options)
      : feed_(std::move(feed)),
        options_(std::move(options)),
        bad_(options_.max_bad_share, options_.on_bad_record),
        workers_(static_cast<std::size_t>(std::max(options_.workers, 1))),
        prefetcher_(options_.workers, options_.prefetch,
                    [this](std::int64_t number, int worker, Slot& slot) {
                      produce(number, workers_[static_cast<std::size_t>(worker)], slot);
                    }) {
    check();
  }

  /// The next batch, valid until the next call. Throws Error when too many records are unusable.
  Batch& next() {
    if (!prefetcher_.started()) prefetcher_.start(number_of(position_));
    if (++position_.batch == batches_per_epoch()) ++position_.epoch, position_.batch = 0;
    Slot& slot = prefetcher_.next();
    report(slot);
    return slot.batch;
  }

  /// Where the next batch is; a loader with the same feed and options that is set to it with seek()
  /// goes on exactly as this one.
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
  std::size_t bad_records() const { return bad_.count(); }
  const LoaderOptions& options() const { return options_; }

 private:
  using Order = std::vector<std::uint32_t>;
  struct BadRecord {
    std::size_t index;
    std::string message;
  };
  struct Slot {
    Batch batch;
    std::vector<BadRecord> bad;
    int seen = 0;  // records, usable or not
    bool complete = true;
  };
  enum class Stream : std::uint64_t { sample = 0x0DA7A002, replacement, batch };

  static constexpr int max_replacements = 100;

  void check() const {
    require(options_.batch_size > 0, "batch_size is ", options_.batch_size,
            ", expected at least 1");
    require(options_.batch_size <= epoch_size() || !options_.drop_last, "batch_size is ",
            options_.batch_size, ", but an epoch has only ", epoch_size(), " records");
    require(epoch_size() > 0, "loader: there are no records");
  }

  std::int64_t epoch_size() const {
    return static_cast<std::int64_t>(options_.shuffle ? feed_->epoch_size() : feed_->size());
  }
  std::int64_t number_of(const LoaderPosition& p) const {
    return p.epoch * batches_per_epoch() + p.batch;
  }
  RandomStream stream(Stream purpose, std::int64_t epoch, std::int64_t position) const {
    const auto name = mix(static_cast<std::uint64_t>(purpose), static_cast<std::uint64_t>(epoch));
    return {options_.seed, mix(name, static_cast<std::uint64_t>(position))};
  }

  void produce(std::int64_t number, SampleBuffers& buffers, Slot& slot) {
    Batch& batch = slot.batch;
    batch.epoch = number / batches_per_epoch();
    batch.batch = number % batches_per_epoch();
    const std::int64_t first = batch.batch * options_.batch_size;
    batch.size =
        static_cast<int>(std::min<std::int64_t>(options_.batch_size, epoch_size() - first));
    batch.indices.clear();
    slot.bad.clear();
    slot.complete = true;

    const std::shared_ptr<const Order> order = order_of(batch.epoch);
    feed_->begin(batch);
    int rows = 0;
    for (int i = 0; i < batch.size && slot.complete; ++i)
      if (fill(*order, i, rows, buffers, slot))
        ++rows;
      else
        slot.complete = !options_.replace_bad;
    slot.seen = batch.size;
    batch.size = rows;
    RandomStream random = stream(Stream::batch, batch.epoch, batch.batch);
    feed_->end(random, buffers, batch);
  }

  /// Fills a row of the batch with its record number `number` or, where that is unusable and is to
  /// be replaced, with one from outside the batch, so that a picture does not meet itself. False if
  /// there is none.
  bool fill(const Order& order, int number, int row, SampleBuffers& buffers, Slot& slot) const {
    Batch& batch = slot.batch;
    const std::int64_t first = batch.batch * options_.batch_size, position = first + number;
    RandomStream replacement = stream(Stream::replacement, batch.epoch, position);
    std::int64_t at = position;
    const int attempts = options_.replace_bad ? 1 + max_replacements : 1;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      const std::size_t index = order[static_cast<std::size_t>(at)];
      const std::string problem = problem_of([&] {
        RandomStream random = stream(Stream::sample, batch.epoch, position);
        feed_->add(index, row, random, buffers, batch);
      });
      if (problem.empty()) {
        batch.indices.push_back(static_cast<std::int64_t>(index));
        return true;
      }
      slot.bad.push_back({index, problem});
      const auto size = epoch_size();
      const auto outside = size > batch.size ? size - batch.size : size;
      at = (first + batch.size + replacement.below(static_cast<int>(outside))) % size;
    }
    return false;
  }

  /// The record numbers of an epoch; those of the epochs in flight are kept.
  std::shared_ptr<const Order> order_of(std::int64_t epoch) {
    const std::lock_guard lock(order_mutex_);
    for (const auto& [number, order] : orders_)
      if (number == epoch) return order;
    auto order = std::make_shared<Order>();
    if (options_.shuffle) {
      *order = feed_->epoch_order(options_.seed, epoch);
    } else {
      order->resize(feed_->size());
      std::iota(order->begin(), order->end(), 0u);
    }
    std::rotate(orders_.begin(), orders_.end() - 1, orders_.end());
    orders_.front() = {epoch, std::move(order)};
    return orders_.front().second;
  }

  /// Counts and names the unusable records of a batch; stops the run when there are too many.
  void report(const Slot& slot) {
    seen_ += slot.seen;
    for (const BadRecord& record : slot.bad) bad_.add(record.index, record.message);
    if (slot.bad.empty()) return;
    bad_.check(seen_, epoch_size());
    if (!slot.complete) bad_.fail_with(0, epoch_size());
  }

  std::unique_ptr<const Feed<Batch>> feed_;
  LoaderOptions options_;
  LoaderPosition position_;
  std::int64_t seen_ = 0;
  BadRecords bad_;
  std::mutex order_mutex_;
  std::array<std::pair<std::int64_t, std::shared_ptr<const Order>>, 3> orders_{
      {{-1, nullptr}, {-1, nullptr}, {-1, nullptr}}};
  std::vector<SampleBuffers> workers_;
  Prefetcher<Slot> prefetcher_;  // last: its threads use the members above
};

/// Calls f(batch) for each batch of the loader's next epoch that is not empty.
template <class Batch, class F>
void for_each_batch(BatchLoader<Batch>& loader, F&& f) {
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i)
    if (Batch& batch = loader.next(); batch.size > 0) f(batch);
}

/// Prepares a set for evaluation once, so that its unusable records are named, or too many of them
/// an Error, before a training and not after its first epoch.
template <class Batch>
void check_records(BatchLoader<Batch>&& loader) {
  for_each_batch(loader, [](const Batch&) {});
}

}  // namespace albef
