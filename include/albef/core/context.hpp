// The context of a forward and backward pass: activations, the tape, switches and random streams.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "albef/core/backend.hpp"
#include "albef/core/error.hpp"
#include "albef/core/memory.hpp"
#include "albef/core/param_store.hpp"
#include "albef/core/rng.hpp"
#include "albef/core/tensor.hpp"

namespace albef {

template <class Context>
class Backward;

/// Everything one pass over a model needs besides the model: the device, the parameter values,
/// arenas for activations and gradients, and the tape of backward closures. Layers stay pure.
///
/// A training step: ctx.begin_step(n); loss = model(ctx, ...); ctx.backward(loss); (optimizer);
/// the next begin_step recycles all memory, so that a warm step allocates nothing.
template <class DeviceT, class PrecisionT = Fp32>
class Context {
 public:
  using Device = DeviceT;
  using Precision = PrecisionT;
  using Real = typename Precision::Compute;   ///< activations and their gradients
  using Master = typename Precision::Master;  ///< losses, features, parameter gradients
  using Store = ParamStore<Device, Precision>;
  template <int W>
  using TensorOf = Tensor<Real, W>;

  static_assert(Backend<Device, Real> && Backend<Device, Master>,
                "Context: the device lacks some of the primitives of core/primitives.hpp for "
                "this number type; include the umbrella header of the device (albef/cpu.hpp)");

  /// `seed` keys all random draws (dropout, sampling) of this context.
  Context(Device& device, Store& store, std::uint64_t seed = 42)
      : device_(device),
        store_(store),
        step_(device, 1),
        philox_{seed, step_.data()},
        arena_(device),
        gradients_(device) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Device& device() const { return device_; }
  Store& store() const { return store_; }

  /// Frees all activations and restarts the random streams as those of step `step`. Tensors made
  /// before are refused from now on.
  void begin_step(std::uint64_t step) {
    ++stamp_.step;
    back_propagated_ = 0;
    values_.clear();
    tape_.clear();
    closures_.reset();
    arena_.reset();
    gradients_.reset();
    step_number_ = step;
    copy_to_device(device_, step_.data(), &step, 1);
    next_stream_ = 0;
  }

  // ---- memory ------------------------------------------------------------------------------

  /// An uninitialised tensor whose rows are grouped as `seq`.
  template <int W, class T = Real>
  Tensor<T, W> tensor(Sequences seq, int cols = W) {
    Tensor<T, W> t;
    t.cols = cols;
    t.seq = seq;
    t.stamp = stamp_;
    t.data = arena_.template take<T>(t.size());
    if (recording_) t.id = new_value(static_cast<std::size_t>(t.size()) * sizeof(T));
    return t;
  }
  template <class T, int W>
  Tensor<T, W> like(const Tensor<T, W>& x) {
    check(x);
    return tensor<W, T>(x.seq, x.cols);
  }
  /// An uninitialised scalar: a loss.
  Tensor<Master, 1> scalar() { return tensor<1, Master>(batch_of(1)); }
  /// `count` uninitialised values outside the tape, valid until the next begin_step.
  template <class T = Real>
  T* allocate(std::int64_t count) {
    return arena_.template take<T>(count);
  }
  /// A device copy of host values, valid until the next begin_step.
  template <class T>
  const T* upload(std::span<const T> host) {
    T* p = arena_.template take<T>(static_cast<std::int64_t>(host.size()));
    copy_to_device(device_, p, host.data(), static_cast<std::int64_t>(host.size()));
    return p;
  }
  template <class T>
  const T* upload(const std::vector<T>& host) {
    return upload(std::span<const T>(host));
  }
  /// Sequences of a packed batch, from the host's offsets (count + 1, the first of them 0).
  Sequences sequences(std::span<const std::int32_t> offsets) {
    return packed_sequences(static_cast<int>(offsets.size()) - 1, upload(offsets), offsets.data());
  }
  Sequences sequences(const std::vector<std::int32_t>& offsets) {
    return sequences(std::span<const std::int32_t>(offsets));
  }
  /// A tensor that takes no gradient, over device memory owned by someone else.
  template <int W, class T>
  Tensor<T, W> constant(const T* data, Sequences seq, int cols = W) const {
    Tensor<T, W> t;
    t.data = const_cast<T*>(data);
    t.cols = cols;
    t.seq = seq;
    return t;
  }
  /// A tensor with the values of `host` that takes a gradient (read it with gradient()).
  template <int W>
  TensorOf<W> variable(std::span<const Real> host, Sequences seq, int cols = W) {
    auto t = tensor<W>(seq, cols);
    require(static_cast<std::int64_t>(host.size()) == t.size(), "[variable] got ", host.size(),
            " values, expected ", t.size());
    copy_to_device(device_, t.data, host.data(), t.size());
    if (t.id >= 0) {
      value(t.id).needs = true;
      value(t.id).keep = true;
    }
    return t;
  }
  /// Error unless each tensor (or token, row selection, ...) was made by this context since
  /// begin_step, or holds memory of someone else. Operations call it before they read their inputs.
  template <class... T>
  void check(const T&... made) const {
    if ((... || foreign(made))) [[unlikely]]
      (refuse(made.stamp), ...);
  }
  /// What marks things as made by this context in this step.
  Stamp stamp() const { return stamp_; }
  /// Host copy of a tensor's values.
  template <class T, int W>
  std::vector<T> read(const Tensor<T, W>& t) const {
    check(t);
    std::vector<T> host(static_cast<std::size_t>(t.size()));
    copy_to_host(device_, host.data(), t.data, t.size());
    return host;
  }
  /// The value of a one-element tensor.
  template <class T>
  T item(const Tensor<T, 1>& t) const {
    check(t);
    require(t.data != nullptr && t.size() == 1, "[item] the tensor has ",
            t.data ? t.size() : std::int64_t{0}, " values, expected 1");
    T host;
    copy_to_host(device_, &host, t.data, 1);
    return host;
  }
  /// Host copy of the gradient of a variable() or watched tensor after backward; zeros if none
  /// arrived, and for constants. Error for other tensors, whose gradients are not kept.
  template <class T, int W>
  std::vector<T> gradient(const Tensor<T, W>& t) const {
    check(t);
    require(t.id < 0 || value(t.id).keep,
            "[gradient] the gradient of the tensor is not kept: watch() it before it is used");
    std::vector<T> host(static_cast<std::size_t>(t.size()));
    if (const void* grad = t.id < 0 ? nullptr : value(t.id).grad)
      copy_to_host(device_, host.data(), static_cast<const T*>(grad), t.size());
    return host;
  }
  /// Asks for the gradient of y, whether or not what it was computed from takes one; read it with
  /// gradient() after backward. Before y is used, while recording.
  template <int W>
  void watch(const TensorOf<W>& y) {
    check(y);
    require(y.id >= 0, "[watch] the tensor is a constant or was computed without recording");
    require(value(y.id).needs || !value(y.id).used,
            "[watch] the tensor was used before it was watched");
    value(y.id).needs = value(y.id).keep = true;
  }
  /// Runs f without recording and frees what it allocates; f returns host values only.
  template <class F>
  auto scoped(F&& f) {
    struct Rewind {
      Context& ctx;
      typename Arena<Device>::Mark mark;
      ~Rewind() { ctx.arena_.rewind(mark); }
    } guard{*this, arena_.mark()};
    static_assert(!is_tensor<std::remove_cvref_t<std::invoke_result_t<F>>>,
                  "scoped: the tensor returned would lie in memory that scoped() has freed");
    return no_grad(std::forward<F>(f));
  }
  /// Gives the memory of activations and gradients back to the device, and forgets them.
  void release() {
    arena_.release();
    gradients_.release();
    begin_step(0);
  }
  /// Bytes held for activations and gradients.
  std::size_t memory() const { return arena_.capacity() + gradients_.capacity(); }

  // ---- switches ----------------------------------------------------------------------------

  /// Values of a parameter in the plane now in force, as kernels read them.
  const Real* weight(ParamSpan p) const { return store_.compute(plane_, p); }
  /// The same in the store's own precision: for scalars such as a temperature.
  const Master* master_weight(ParamSpan p) const { return store_.data(plane_, p); }
  bool recording() const { return recording_; }
  bool dropout() const { return dropout_; }
  /// Dropout layers act (training) or are the identity (evaluation, the default).
  void set_dropout(bool on) { dropout_ = on; }
  /// Where each attention that runs notes what it was given, for inspection; null: nowhere.
  primitive::Attention<Real>* noted_attention() const { return noted_attention_; }
  void note_attention(primitive::Attention<Real>* place) { noted_attention_ = place; }
  /// Gradient checkpointing: blocks keep only their input and run again in the backward pass.
  bool checkpointing() const { return checkpointing_; }
  void set_checkpointing(bool on) { checkpointing_ = on; }

  /// Runs f with the weights of `plane`, without recording: the teacher's pass. Dropout acts in
  /// it only if `dropout` is set and the context's dropout is on.
  template <class F>
  decltype(auto) frozen(Plane plane, F&& f, bool dropout = false) {
    require(
        plane == Plane::online || store_.has(plane), "[frozen] the store has no ",
        plane == Plane::ema ? "momentum weights: make it with Storage::momentum" : "such plane");
    Switches guard(*this);
    plane_ = plane;
    recording_ = probing_ = false;
    dropout_ = dropout_ && dropout;
    return std::forward<F>(f)();
  }
  /// Runs f without recording: evaluation.
  template <class F>
  decltype(auto) no_grad(F&& f) {
    return frozen(plane_, std::forward<F>(f), dropout_);
  }

  // ---- randomness --------------------------------------------------------------------------

  const Philox& philox() const { return philox_; }
  /// A stream of its own for one use in this step, which philox() mixes with the step's number; the
  /// same sequence of calls gives the same streams in every run.
  std::uint64_t next_stream() { return next_stream_++; }
  /// The same for draws of the host: a stream of its own for one use in this step.
  RandomStream host_stream() { return {philox_.key, mix(step_number_, next_stream())}; }

  // ---- tape --------------------------------------------------------------------------------

  /// Whether a gradient of `p` is asked for: while recording, unless all of it is frozen.
  bool needs(ParamSpan p) const { return (recording_ || probing_) && store_.trainable(p); }
  template <class T, int W>
  bool needs(const Tensor<T, W>& t) const {
    return t.id >= 0 && value(t.id).needs;
  }
  /// Records how the gradient of `y` flows to the inputs it was computed from, listed by from().
  /// The closure is called as f(bwd) in the backward pass if y has received a gradient; it must
  /// be trivially copyable, capture nothing by reference, and is dropped at once when no input
  /// needs a gradient.
  template <class T, int W, class F>
  void record(const Tensor<T, W>& y, bool any_input_needs, F f) {
    static_assert(std::is_trivially_copyable_v<F>,
                  "record: a backward closure must capture plain data (handles, numbers) only");
    static_assert(std::is_standard_layout_v<F>,
                  "record: a backward closure must not capture by reference: what it refers to may "
                  "be gone in the backward pass");
    static_assert(alignof(F) <= arena_alignment);
    if (!recording_ || !any_input_needs) {
      if (any_input_needs && probing_) probed_ = true;
      return;
    }
    new (add_node(y.id, sizeof(F), [](void* closure, Backward<Context>& bwd) {
      (*static_cast<F*>(closure))(bwd);
    })) F(f);
  }
  /// Whether any of the listed tensors and parameters takes a gradient. Error if a tensor is of
  /// another context or step, or if backward() has been through what it was computed by.
  template <class... Inputs>
  bool from(const Inputs&... inputs) {
    bool any = false;
    ((any = takes(inputs) || any), ...);
    return any;
  }

  /// Back-propagates from the one-element tensor `loss` through everything recorded; parameter
  /// gradients are added to the store's grad plane. `scale` multiplies the loss. What was recorded
  /// is used up by it. All gradients of a loss that is not finite are NaN, so that an optimizer
  /// which looks at their norm leaves the weights alone. Error if the loss is of another context or
  /// step, is not one value, or was back-propagated before.
  void backward(const Tensor<Master, 1>& loss, Master scale = 1) {
    check(loss);
    require(loss.size() == 1, "[backward] the loss has ", loss.size(), " values, expected 1");
    require(needs(loss), "[backward] the loss depends on nothing that takes a gradient");
    refuse_used_up(loss.id);
    Backward<Context> bwd(*this);
    auto* seed = static_cast<Master*>(bwd.buffer(loss.id));
    fill(device_, seed, scale, 1);
    run(device_, primitive::EmaUpdate<Master>{seed, loss.data, 1, 1.0});  // scale + 0 * loss
    run_tape(bwd, 0);
    back_propagated_ = static_cast<int>(values_.size());
  }

  /// y = f(x), keeping only x and y: f runs again, recorded, in the backward pass, with the dropout
  /// switch as it is now. f maps a tensor to one of the same type and shape and captures plain data
  /// only, nothing by reference.
  template <class T, class F>
  T checkpoint(const T& x, F f) {
    static_assert(std::is_same_v<std::remove_cvref_t<std::invoke_result_t<F&, const T&>>, T>,
                  "checkpoint: the function must map a tensor to one of the same type");
    static_assert(std::is_trivially_copyable_v<F>,
                  "checkpoint: the function must capture plain data (handles, numbers) only");
    static_assert(std::is_standard_layout_v<F>,
                  "checkpoint: the function must not capture by reference: what it refers to may "
                  "be gone in the backward pass");
    if (!recording_ || !checkpointing_) return f(x);
    takes(x);
    const std::uint64_t first_stream = next_stream_;
    T y = like(x);
    const auto mark = arena_.mark();
    {
      Switches guard(*this);
      recording_ = false;
      probing_ =
          true;  // f may lead to gradients x knows nothing of: of parameters, of what f holds
      probed_ = false;
      const T z = f(x);
      require(z.rows() == y.rows() && z.cols == y.cols, "[checkpoint] the function maps (",
              y.rows(), ", ", y.cols, ") to (", z.rows(), ", ", z.cols,
              "), expected the same shape");
      copy_on_device(device_, y.data, z.data, z.size());
    }
    arena_.rewind(mark);
    record(y, probed_ || needs(x), [this, x, y, f, first_stream, dropout = dropout_](auto& bwd) {
      const Switches guard(*this);
      recording_ = true;
      dropout_ = dropout;
      const auto inner_mark = arena_.mark();
      const auto values = values_.size(), nodes = tape_.size();
      const auto stream = std::exchange(next_stream_, first_stream);
      const T z = f(x);
      next_stream_ = stream;
      if (needs(z)) {
        bwd.pass(y, z, true);
        run_tape(bwd, nodes);
      }
      tape_.resize(nodes);
      values_.resize(values);
      arena_.rewind(inner_mark);
    });
    return y;
  }

 private:
  friend class Backward<Context>;

  struct Value {
    void* grad = nullptr;
    std::size_t bytes = 0;
    bool needs = false;
    bool keep = false;      ///< the gradient survives the backward pass
    bool recorded = false;  ///< a closure passes the gradient on
    bool used = false;      ///< something was computed from it
  };
  struct Node {
    void (*run)(void*, Backward<Context>&) = nullptr;
    void* closure = nullptr;
    std::size_t bytes = 0;
    int y = -1;
  };
  /// Restores the switches when a scope ends, also by an exception.
  struct Switches {
    explicit Switches(Context& c)
        : ctx(c),
          plane(c.plane_),
          recording(c.recording_),
          dropout(c.dropout_),
          probing(c.probing_) {}
    ~Switches() {
      ctx.plane_ = plane;
      ctx.recording_ = recording;
      ctx.dropout_ = dropout;
      ctx.probing_ = probing;
    }
    Switches(const Switches&) = delete;
    Switches& operator=(const Switches&) = delete;
    Context& ctx;
    Plane plane;
    bool recording, dropout, probing;
  };
  /// Host memory for closures: blocks that are kept from step to step.
  class ClosureMemory {
   public:
    void* take(std::size_t bytes) {
      bytes = aligned_size(bytes);
      if (blocks_.empty() || used_ + bytes > block_size) {
        if (!blocks_.empty()) ++current_;
        if (current_ == blocks_.size()) blocks_.push_back(std::make_unique<Block>());
        used_ = 0;
      }
      void* p = blocks_[current_]->bytes + used_;
      used_ += bytes;
      return p;
    }
    void reset() { current_ = used_ = 0; }

   private:
    static constexpr std::size_t block_size = 1 << 16;
    struct Block {
      alignas(arena_alignment) std::byte bytes[block_size];
    };
    std::vector<std::unique_ptr<Block>> blocks_;
    std::size_t current_ = 0, used_ = 0;
  };

  Value& value(int id) { return values_[static_cast<std::size_t>(id)]; }
  const Value& value(int id) const { return values_[static_cast<std::size_t>(id)]; }

  bool foreign(const auto& x) const { return x.stamp != stamp_ && x.stamp.context != 0; }
  [[gnu::cold, gnu::noinline]] void refuse(Stamp stamp) const {
    if (stamp == stamp_ || stamp.context == 0) return;
    require(stamp.context == stamp_.context,
            "a tensor (or tokens, or rows) of another context is used");
    fail("a tensor (or tokens, or rows) of an earlier step is used: begin_step, called ",
         stamp_.step - stamp.step, " times since, gave its memory to others");
  }
  void refuse_used_up(int id) const {
    require(id >= back_propagated_ || !value(id).recorded,
            "backward() has been through what the tensor was computed by; compute it anew");
  }
  bool takes(ParamSpan p) const { return needs(p); }
  template <class T, int W>
  bool takes(const Tensor<T, W>& t) {
    check(t);
    if (t.id < 0) return false;
    value(t.id).used = true;
    if (!value(t.id).needs) return false;
    refuse_used_up(t.id);
    return true;
  }
  /// Contexts of a program count from 1.
  static std::uint32_t next_number() {
    static std::atomic<std::uint32_t> number{0};
    return ++number;
  }

  [[gnu::noinline]] int new_value(std::size_t bytes) {
    values_.push_back({.bytes = bytes});
    return static_cast<int>(values_.size()) - 1;
  }
  /// The part of record() that does not depend on the closure, which goes to the place returned.
  [[gnu::noinline]] void* add_node(int y, std::size_t bytes,
                                   void (*run)(void*, Backward<Context>&)) {
    value(y).needs = value(y).recorded = true;
    void* place = closures_.take(bytes);
    tape_.push_back({run, place, bytes, y});
    return place;
  }
  /// Runs the closures above `bottom` in reverse; each gradient is freed once it was used.
  void run_tape(Backward<Context>& bwd, std::size_t bottom) {
    while (tape_.size() > bottom) {
      const Node node = tape_.back();
      if (value(node.y).grad) {
        node.run(node.closure, bwd);
        bwd.release(node.y);
      }
      tape_.pop_back();
    }
  }

  Device& device_;
  Store& store_;
  Buffer<Device, std::uint64_t> step_;  // one word: the number of the step, where kernels read it
  Philox philox_;
  Arena<Device> arena_;
  GradientPool<Device> gradients_;
  ClosureMemory closures_;
  std::vector<Value> values_;
  std::vector<Node> tape_;
  std::uint64_t next_stream_ = 0, step_number_ = 0;
  Stamp stamp_{next_number(), 0};
  int back_propagated_ = 0;  ///< values that were there when backward() ended
  Plane plane_ = Plane::online;
  bool recording_ = true, dropout_ = false, checkpointing_ = false;
  primitive::Attention<Real>* noted_attention_ = nullptr;
  bool probing_ = false;  ///< in the first run of checkpoint(): would anything be recorded?
  bool probed_ = false;   ///< the answer
};

/// What a backward closure works with: gradients that have arrived, and where to send more.
template <class ContextT>
class Backward {
 public:
  using Context = ContextT;
  using Real = typename Context::Real;
  using Master = typename Context::Master;
  using Store = typename Context::Store;

  explicit Backward(Context& ctx) : ctx_(ctx) {}

  typename Context::Device& device() const { return ctx_.device(); }
  const Real* weight(ParamSpan p) const { return ctx_.weight(p); }
  const Master* master_weight(ParamSpan p) const { return ctx_.master_weight(p); }
  template <class In>
  bool needs(const In& in) const {
    return ctx_.needs(in);
  }

  /// The gradient that has arrived at y.
  template <class T, int W>
  Mat<const T> grad(const Tensor<T, W>& y) const {
    return {static_cast<const T*>(ctx_.value(y.id).grad), y.rows(), y.cols, y.cols};
  }
  /// Whether the gradient of y outlives the backward pass: it is watched, or y is a variable.
  template <class T, int W>
  bool keeps(const Tensor<T, W>& y) const {
    return ctx_.value(y.id).keep;
  }
  /// The same as memory that the closure of y may overwrite. Where y keeps its gradient, this is a
  /// copy in `temporary`, which must have room for it then.
  template <class T, int W>
  Mat<T> overwrite(const Tensor<T, W>& y, T* temporary) {
    T* data = static_cast<T*>(ctx_.value(y.id).grad);
    if (keeps(y)) {
      copy_on_device(device(), temporary, data, y.size());
      data = temporary;
    }
    return {data, y.rows(), y.cols, y.cols};
  }
  /// Calls f(dx, beta) to add to the gradient of x as dx = new + beta * dx; not called when x takes
  /// no gradient. beta is 0 for the first contribution (dx is then uninitialised) and 1 later.
  template <class T, int W, class F>
  void into(const Tensor<T, W>& x, F&& f) {
    if (!ctx_.needs(x)) return;
    const bool first = ctx_.value(x.id).grad == nullptr;
    std::forward<F>(f)(Mat<T>{static_cast<T*>(buffer(x.id)), x.rows(), x.cols, x.cols},
                       accumulator_t<T>(first ? 0 : 1));
  }
  /// The same for parameters; f receives a pointer to their gradient, which is a Master* and good
  /// during the call. Of parameters some of which are frozen, f computes the whole into temporary
  /// memory, from where the others' parts are added.
  template <class F>
  void into(ParamSpan p, F&& f) {
    if (!ctx_.needs(p)) return;
    Store& store = ctx_.store();
    if (!store.in_one_piece(p)) [[unlikely]]
      return into_parts(p, f);
    const Master beta = store.touch(p);
    std::forward<F>(f)(store.data(Plane::grad, p), beta);
  }
  /// For gradients that are computed together: calls f(dw, db), each a pointer and a beta as
  /// above; the pointer is null where that parameter takes no gradient. f is always called.
  template <class F>
  void into(ParamSpan weight, ParamSpan bias, F&& f) {
    Gradient dw, db;
    const auto with = [&](ParamSpan p, Gradient& target, auto&& next) {
      if (!ctx_.needs(p)) return next();
      into(p, [&](Master* data, Master beta) {
        target = {data, beta};
        next();
      });
    };
    with(weight, dw, [&] { with(bias, db, [&] { f(dw, db); }); });
  }
  /// Where the gradient of a parameter goes: data = new + beta * data. Null: it takes none.
  struct Gradient {
    Master* data = nullptr;
    Master beta = 0;
  };
  /// Adds the gradient of y to that of x, both of one shape. The last use of y's gradient may hand
  /// its memory on instead of copying: say so with `last`.
  template <class T, int W>
  void pass(const Tensor<T, W>& y, const Tensor<T, W>& x, bool last) {
    if (!ctx_.needs(x)) return;
    if (last && ctx_.value(x.id).grad == nullptr && !ctx_.value(y.id).keep)
      return move_gradient(y.id, x.id);
    into(x, [&](Mat<T> dx, auto beta) {
      run(device(), primitive::Add<T>{.x = grad(y), .y = dx, .beta = beta});
    });
  }
  /// Temporary memory for one closure, returned to the pool when the scope ends.
  template <class T>
  class Temporary {
   public:
    Temporary(Context& ctx, std::int64_t count)
        : ctx_(ctx),
          bytes_(static_cast<std::size_t>(count) * sizeof(T)),
          data_(static_cast<T*>(ctx.gradients_.take(bytes_))) {}
    ~Temporary() { ctx_.gradients_.give_back(data_, bytes_); }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;
    T* data() const { return data_; }

   private:
    Context& ctx_;
    std::size_t bytes_;
    T* data_;
  };
  template <class T = Real>
  Temporary<T> temporary(std::int64_t count) {
    return Temporary<T>(ctx_, count);
  }

  // For Context.
  void* buffer(int id) {
    auto& v = ctx_.value(id);
    if (!v.grad) v.grad = ctx_.gradients_.take(v.bytes);
    return v.grad;
  }
  void release(int id) {
    auto& v = ctx_.value(id);
    if (!v.grad || v.keep) return;
    ctx_.gradients_.give_back(v.grad, v.bytes);
    v.grad = nullptr;
  }
  void move_gradient(int from, int to) {
    ctx_.value(to).grad = std::exchange(ctx_.value(from).grad, nullptr);
  }

 private:
  template <class F>
  void into_parts(ParamSpan p, F& f) {
    Store& store = ctx_.store();
    const auto whole = temporary<Master>(p.size);
    f(whole.data(), Master(0));
    for (int i = p.index; i < p.index + p.count; ++i) {
      const ParamInfo& part = store.params()[static_cast<std::size_t>(i)];
      if (part.frozen) continue;
      const ParamSpan span{part.offset, part.size, i, 1, p.model};
      const Master beta = store.touch(span);
      const int rows = part.shape.empty() ? 1 : part.shape[0];
      const int cols = static_cast<int>(part.size / rows);
      run(device(),
          primitive::Add<Master>{.x = mat(whole.data() + (part.offset - p.offset), rows, cols),
                                 .y = mat(store.data(Plane::grad, span), rows, cols),
                                 .beta = beta});
    }
  }

  Context& ctx_;
};

}  // namespace albef
