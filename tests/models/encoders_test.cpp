// The encoders: gradients by differences, and the shortcuts of the computation against doing it
// the plain way.
#include <numeric>

#include "albef/data/pair_batch.hpp"
#include "albef/testing/gradcheck.hpp"
#include "micro.hpp"

namespace encoders_test {

using namespace model_test;
using albef::gradcheck;
using albef::GradcheckOptions;
using Indices = std::vector<std::int32_t>;

namespace {

constexpr int width = Micro::hidden_size;

/// Rows [begin, end) of a matrix.
template <class T>
std::vector<T> rows(const std::vector<T>& m, int begin, int end, int cols) {
  return {m.begin() + std::ptrdiff_t{begin} * cols, m.begin() + std::ptrdiff_t{end} * cols};
}

const HostBatch host = random_batch<Micro>(4, 1);

}  // namespace

TEST_CASE("Vit: gradients") {
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 8}, albef::laid_out<albef::Vit<Micro>>(),
                       albef::vectors<3 * 8 * 8>(2)));
}

TEST_CASE("Bert: gradients of text and fusion encoder and of the MLM head, with dropout") {
  const auto forward = [](auto& ctx, const auto& model, const auto& image) {
    const auto tokens = albef::upload_tokens<Micro>(ctx, host.text);
    const auto x = model.bert.text(ctx, tokens);
    const auto kv = model.bert.image_keys_values(ctx, image);
    const auto* index = ctx.upload(Indices{1, 0, 1, 2});
    const auto all = model.bert.fusion(ctx, x, kv, index);
    const auto cls = model.bert.fusion(ctx, x, kv, index, albef::first_rows(ctx, tokens.seq));
    return add(ctx, model.logits(ctx, albef::first(ctx, all)), model.logits(ctx, cls));
  };
  CHECK(gradcheck<Cpu>(GradcheckOptions{.entries = 3, .dropout = true},
                       albef::laid_out<albef::BertForMaskedLm<Micro>>(), forward,
                       albef::sequences<Micro::vision_width>(3, 5)));
}

TEST_CASE("packed texts of different lengths equal one text at a time") {
  Bench<Micro> b;
  const auto& bert = b.model.text_encoder.bert;
  const auto image = b.model.visual_encoder(b.ctx, b.images(host));
  const auto text = bert.text(b.ctx, b.tokens(host.text));
  const auto fused = bert.fusion(b.ctx, text, bert.image_keys_values(b.ctx, image));
  const auto states = b.ctx.read(text), fused_states = b.ctx.read(fused);
  const auto image_states = b.ctx.read(image);
  for (int i = 0; i < host.text.count(); ++i) {
    albef::TextBatch single;
    single.add(host.text.text(i));
    const int begin = host.text.offsets[static_cast<std::size_t>(i)];
    const int end = begin + host.text.length(i), tokens = image.seq.uniform;
    const auto x = bert.text(b.ctx, b.tokens(single));
    CHECK(deviation(b.ctx.read(x), rows(states, begin, end, width)) < 1e-13);
    const auto one_image = b.ctx.variable<Micro::vision_width>(
        rows(image_states, i * tokens, (i + 1) * tokens, Micro::vision_width),
        albef::uniform_sequences(1, tokens));
    const auto y = bert.fusion(b.ctx, x, bert.image_keys_values(b.ctx, one_image));
    CHECK(deviation(b.ctx.read(y), rows(fused_states, begin, end, width)) < 1e-13);
  }
}

TEST_CASE("keys and values once per image equal those of repeated images, gradients too") {
  Bench<Micro> b;
  const auto& bert = b.model.text_encoder.bert;
  const Indices index{2, 0, 2, 2};
  const auto run = [&](bool once) {
    b.store.clear_gradients();
    b.ctx.begin_step(0);
    const auto image = b.model.visual_encoder(b.ctx, b.images(host));
    const auto x = bert.text(b.ctx, b.tokens(host.text));
    const auto* selected = b.ctx.upload(index);
    const auto y =
        once ? bert.fusion(b.ctx, x, bert.image_keys_values(b.ctx, image), selected)
             : bert.fusion(b.ctx, x,
                           bert.image_keys_values(b.ctx, albef::select(b.ctx, image, selected, 4)));
    b.ctx.backward(weighted_sum(b.ctx, y, b.ctx.read(y).data()));
    return std::pair{b.ctx.read(y), b.plane(Plane::grad)};
  };
  const auto [y, gradient] = run(true);
  const auto [expected, expected_gradient] = run(false);
  CHECK(deviation(y, expected) < 1e-13);
  CHECK(deviation(gradient, expected_gradient) < 1e-11);
}

TEST_CASE("the last fusion layer for some rows equals all rows, then choosing; gradients too") {
  Bench<Micro> b;
  const auto& bert = b.model.text_encoder.bert;
  for (const bool masked_rows : {false, true}) {
    const auto run = [&](bool shortcut) {
      b.store.clear_gradients();
      b.ctx.begin_step(0);
      const auto image = b.model.visual_encoder(b.ctx, b.images(host));
      const auto batch = upload<Micro>(b.ctx, host);
      const auto x = bert.text(b.ctx, batch.masked);
      const auto kv = bert.image_keys_values(b.ctx, image);
      const auto chosen =
          masked_rows ? batch.masked_rows : albef::first_rows(b.ctx, batch.masked.seq);
      const auto y = shortcut ? bert.fusion(b.ctx, x, kv, nullptr, chosen)
                              : albef::gather(b.ctx, bert.fusion(b.ctx, x, kv), chosen);
      const auto logits = b.model.text_encoder.logits(b.ctx, y);
      b.ctx.backward(weighted_sum(b.ctx, logits, b.ctx.read(logits).data()));
      return std::pair{b.ctx.read(logits), b.plane(Plane::grad)};
    };
    const auto [y, gradient] = run(true);
    const auto [expected, expected_gradient] = run(false);
    CHECK(y.size() == static_cast<std::size_t>(Micro::vocab_size) *
                          (masked_rows ? static_cast<std::size_t>(host.masked.masked()) : 4));
    CHECK(deviation(y, expected) < 1e-13);
    CHECK(deviation(gradient, expected_gradient) < 1e-11);
  }
}

TEST_CASE("one pass of 3 B pairs equals three passes of B, gradients too") {
  Bench<Micro> b;
  const Indices texts{0, 1, 2, 3, 0, 1, 2, 3, 2, 0, 3, 0},
      images{0, 1, 2, 3, 1, 0, 1, 2, 0, 1, 2, 3};
  const auto run = [&](int parts) {
    b.store.clear_gradients();
    b.ctx.begin_step(0);
    const auto kv = b.model.text_encoder.bert.image_keys_values(
        b.ctx, b.model.visual_encoder(b.ctx, b.images(host)));
    const auto text = b.model.text_encoder.bert.text(b.ctx, b.tokens(host.text));
    const int n = 12 / parts;
    std::vector<double> all;
    albef::Tensor<double, 1> loss;
    for (int p = 0; p < parts; ++p) {
      const auto* t = b.ctx.upload(
          std::span(texts).subspan(static_cast<std::size_t>(p * n), static_cast<std::size_t>(n)));
      const auto* i = b.ctx.upload(
          std::span(images).subspan(static_cast<std::size_t>(p * n), static_cast<std::size_t>(n)));
      const auto logits = b.model.itm_logits(b.ctx, albef::select(b.ctx, text, t, n), kv, i);
      const auto values = b.ctx.read(logits);
      all.insert(all.end(), values.begin(), values.end());
      const auto part = weighted_sum(b.ctx, logits, b.ctx.upload(values));
      loss = p == 0 ? part : add(b.ctx, loss, part);
    }
    b.ctx.backward(loss);
    return std::pair{all, b.plane(Plane::grad)};
  };
  const auto [logits, gradient] = run(1);
  const auto [expected, expected_gradient] = run(3);
  CHECK(deviation(logits, expected) < 1e-13);
  CHECK(deviation(gradient, expected_gradient) < 1e-11);
}

TEST_CASE("inputs that do not fit are refused by name") {
  Bench<Micro> b;
  albef::TextBatch text;
  text.add(Indices{2, 11});
  CHECK_THROWS_WITH_AS(b.tokens(text), "token id 11 is outside the model's vocabulary of 11",
                       albef::Error);
  text.clear();
  text.add(Indices{2});
  text.add(Indices{});
  CHECK_THROWS_WITH_AS(b.tokens(text), "text 1 has 0 tokens, expected 1 to 7", albef::Error);
  text.clear();
  text.add(Indices(8, 2));
  CHECK_THROWS_WITH_AS(b.tokens(text), "text 0 has 8 tokens, expected 1 to 7", albef::Error);
  const std::vector<std::uint8_t> pixels(100);
  CHECK_THROWS_WITH_AS(albef::upload_images<Micro>(b.ctx, std::span<const std::uint8_t>(pixels)),
                       "got 100 pixel values, expected images of 8 x 8 x 3", albef::Error);
  // As many values as images of the model's size have, but of another size.
  albef::PairBatch pairs;
  pairs.size = 1, pairs.image_size = 16;
  pairs.images.resize(16 * 16 * 3);
  CHECK_THROWS_WITH_AS(albef::upload_images<Micro>(b.ctx, pairs),
                       "the pictures of the batch are 16 x 16 pixels, the model reads 8 x 8",
                       albef::Error);
  pairs.size = 4, pairs.image_size = 8;
  CHECK(albef::upload_images<Micro>(b.ctx, pairs).rows() == 4);
  // A text read on from position 5 of 7.
  const albef::TextBatch three = [] {
    albef::TextBatch t;
    t.add(Indices{2, 3, 4});
    return t;
  }();
  b.ctx.no_grad([&] {
    const auto& embeddings = b.model.text_encoder.bert.embeddings;
    CHECK(embeddings(b.ctx, b.tokens(three), 4).rows() == 3);
    CHECK_THROWS_WITH_AS(embeddings(b.ctx, b.tokens(three), 5),
                         "[embed] a text of 3 tokens, but 2 positions", albef::Error);
  });
  const auto before = b.tokens(three);
  b.ctx.begin_step(1);
  CHECK_THROWS_WITH_AS(b.model.text_encoder.bert.text(b.ctx, before),
                       doctest::Contains("of an earlier step is used"), albef::Error);
}

TEST_CASE("batches whose parts do not belong together are refused") {
  albef::PairBatch batch;
  batch.size = 2, batch.image_size = 8;
  batch.images.resize(2 * 8 * 8 * 3);
  batch.text.add(Indices{2});
  const auto refused = [&](const char* sentence) {
    CHECK_THROWS_WITH_AS(albef::detail::check_batch(batch), sentence, albef::Error);
  };
  refused("got 1 captions for 2 pictures");
  batch.text.add(Indices{2});
  albef::detail::check_batch(batch);
  batch.image_ids = {1};
  refused("got 1 identities of pictures for 2 pictures");
  batch.image_ids = {1, 2};
  batch.masked.text.add(Indices{4});
  refused("got 1 masked captions for 2 pictures");
  batch.size = 3;
  refused("got 384 pixel values, expected 3 pictures of 8 x 8 x 3");

  Bench<Micro> b;
  albef::MaskedText masked;
  masked.text.add(Indices{2, 4});
  masked.offsets.push_back(1);
  masked.rows = {1}, masked.labels = {11};
  albef::PretrainBatch<double, Micro> in;
  CHECK_THROWS_WITH_AS(albef::upload_masked<Micro>(b.ctx, masked, in),
                       "token id 11 is outside the model's vocabulary of 11", albef::Error);
  masked.labels = {};
  CHECK_THROWS_WITH_AS(albef::upload_masked<Micro>(b.ctx, masked, in),
                       "got 0 labels for 1 masked tokens and offsets of 1 texts, expected 1",
                       albef::Error);
}

}  // namespace encoders_test
