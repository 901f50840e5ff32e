// VQA: the decoder, its loss, the ranking of answers, generation with a cache.
#include "albef/tasks/vqa.hpp"

#include "albef/models/generate.hpp"

#include <numeric>

#include "../models/micro.hpp"

namespace vqa_test {

using namespace model_test;
using Model = albef::AlbefVqa<Micro>;
using VqaBench = Bench<Micro, Fp64, Model>;
using Ids = std::vector<std::int32_t>;

namespace {

constexpr int vocabulary = Micro::vocab_size;

albef::VqaBatch question_batch() {
  const HostBatch host = random_batch<Micro>(3, 3);
  albef::VqaBatch out;
  out.size = 3;
  out.image_size = Micro::image_res;
  out.images = host.pixels;
  out.text = host.text;
  for (const Ids& ids : {Ids{2, 5, 3}, {2, 6, 7, 3}, {2, 8, 3}, {2, 5, 9, 10, 3}})
    out.answers.add(ids);
  out.answer_counts = {2, 0, 2};
  out.weights = {0.25f, 0.75f, 1, 0.5f};
  return out;
}
const albef::VqaBatch host = question_batch();

auto states(VqaBench& b) {
  albef::VqaInput<double, Micro> in;
  in.image = albef::upload_images<Micro>(b.ctx, std::span<const std::uint8_t>(host.images));
  in.question = b.tokens(host.text);
  return b.model.question_states(b.ctx, in);
}

auto upload(VqaBench& b, const albef::VqaBatch& batch) {
  albef::AnswerRows<double> rows;
  return upload(b.ctx, b.model, batch, rows);
}

/// Log-probabilities of the token after each position of one text for one question, computed alone.
std::vector<std::vector<double>> next_scores(VqaBench& b, int question, const Ids& ids) {
  return b.ctx.no_grad([&] {
    albef::TextBatch text;
    text.add(ids);
    const auto* owner = b.ctx.upload(Ids{question});
    const auto logits = b.ctx.read(b.model.text_decoder(
        b.ctx, b.tokens(text), b.model.text_decoder.keys_values(b.ctx, states(b)), owner));
    std::vector<std::vector<double>> out;
    for (std::size_t i = 0; i < ids.size(); ++i)
      out.push_back(
          albef::log_softmax(std::span<const double>(logits).subspan(i * vocabulary, vocabulary)));
    return out;
  });
}
double log_likelihood(VqaBench& b, int question, std::span<const std::int32_t> answer) {
  const auto scores = next_scores(b, question, {answer.begin(), answer.end() - 1});
  double sum = 0;
  for (std::size_t i = 0; i + 1 < answer.size(); ++i)
    sum += scores[i][static_cast<std::size_t>(answer[i + 1])];
  return sum;
}

}  // namespace

TEST_CASE("VQA: the gradient agrees with differences, with weights and a teacher") {
  VqaBench b;
  for (const double alpha : {0.0, 0.4})
    check_gradient(b, [&] { return vqa_loss(b.ctx, b.model, upload(b, host), alpha); });
}

TEST_CASE("VQA: questions about one picture share it") {
  VqaBench b;
  auto batch = host;
  batch.images.resize(batch.images.size() / 3 * 2);
  batch.image_of = {1, 0, 1};
  check_sharing(b, batch, [&](const albef::VqaBatch& in) {
    return vqa_loss(b.ctx, b.model, upload(b, in), 0.4);
  });
}

TEST_CASE("VQA: checkpointing changes neither loss nor gradient") {
  const auto run = [](bool checkpointing) {
    VqaBench b;
    b.ctx.set_checkpointing(checkpointing);
    b.ctx.set_dropout(true);
    b.ctx.begin_step(5);
    const auto loss = vqa_loss(b.ctx, b.model, upload(b, host), 0.4);
    b.ctx.backward(loss);
    auto out = b.plane(Plane::grad);
    out.push_back(b.ctx.item(loss));
    return out;
  };
  CHECK(bit_equal(run(true), run(false)));
}

TEST_CASE("VQA: the loss is the weighted sum of the answers' log-likelihoods per question") {
  VqaBench b;
  b.ctx.begin_step(0);
  const double loss = b.ctx.item(vqa_loss(b.ctx, b.model, upload(b, host), 0));
  double expected = 0;
  const int owner[] = {0, 0, 2, 2};
  for (int a = 0; a < 4; ++a)
    expected -= static_cast<double>(host.weights[static_cast<std::size_t>(a)]) *
                log_likelihood(b, owner[a], host.answers.text(a)) / 3;
  CHECK(loss == doctest::Approx(expected).epsilon(1e-12));
}

TEST_CASE("VQA: the decoder does not look ahead") {
  VqaBench b;
  b.ctx.begin_step(0);
  const auto a = next_scores(b, 1, {2, 5, 6, 7}), c = next_scores(b, 1, {2, 5, 9, 4});
  CHECK(deviation(a[0], c[0]) < 1e-14);
  CHECK(deviation(a[1], c[1]) < 1e-14);
  CHECK(deviation(a[2], c[2]) > 1e-3);
}

TEST_CASE("VQA: step by step with a cache equals the whole text at once, also after reordering") {
  VqaBench b;
  b.ctx.begin_step(0);
  const std::vector<Ids> paths{{2, 5, 6, 7}, {2, 5, 8, 9}, {2, 10, 4, 6}};
  // Step 1 knows only texts 0 and 2; text 1 branches off from text 0 afterwards.
  const std::vector<Ids> ids{{2, 2}, {5, 10}, {6, 8, 4}, {7, 9, 6}},
      parents{{}, {0, 1}, {0, 0, 1}, {0, 1, 2}}, rows{{0, 2}, {0, 2}, {0, 1, 2}, {0, 1, 2}};
  b.ctx.no_grad([&] {
    const auto kv = b.model.text_decoder.keys_values(b.ctx, states(b));
    albef::AnswerDecoder<Micro>::Cache<double> cache;
    for (std::size_t t = 0; t < 4; ++t) {
      const Ids question(ids[t].size(), 1);
      const auto logits = b.ctx.read(b.model.text_decoder.step(
          b.ctx, b.ctx.upload(ids[t]), static_cast<int>(ids[t].size()), cache,
          t ? b.ctx.upload(parents[t]) : nullptr, kv, b.ctx.upload(question)));
      for (std::size_t i = 0; i < rows[t].size(); ++i) {
        const auto& path = paths[static_cast<std::size_t>(rows[t][i])];
        const auto expected =
            next_scores(b, 1, Ids(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(t) + 1));
        CHECK(deviation(albef::log_softmax(
                            std::span<const double>(logits).subspan(i * vocabulary, vocabulary)),
                        expected.back()) < 1e-12);
      }
    }
    return 0;
  });
}

TEST_CASE("VQA: ranking gives the likelihoods of the candidates; the double count is an option") {
  VqaBench b;
  b.ctx.begin_step(0);
  albef::TextBatch list;
  for (const Ids& ids : {Ids{2, 5, 3}, {2, 6, 7, 3}, {2, 6, 3}, {2, 5, 9, 10, 3}, {2, 8, 3}})
    list.add(ids);
  const auto x = states(b);
  const auto& decoder = b.model.text_decoder;
  const auto first = albef::first_word_probabilities(b.ctx, decoder, decoder.keys_values(b.ctx, x),
                                                     x.seq.count, list);
  const auto whole = albef::rank_answers(b.ctx, decoder, x, list, {.k = 9});
  const auto twice =
      albef::rank_answers(b.ctx, decoder, x, list, {.k = 9, .count_first_word_twice = true});
  const auto three = albef::rank_answers(b.ctx, decoder, x, list, {.k = 3});
  for (int q = 0; q < 3; ++q) {
    const auto at = static_cast<std::size_t>(q);
    std::vector<double> likelihood, official;
    double total = 0, official_total = 0;
    for (int a = 0; a < 5; ++a) {
      likelihood.push_back(std::exp(log_likelihood(b, q, list.text(a))));
      const double p = first[at * 5 + static_cast<std::size_t>(a)];
      CHECK(p == doctest::Approx(
                     std::exp(next_scores(b, q, {2})[0][static_cast<std::size_t>(list.text(a)[1])]))
                     .epsilon(1e-12));
      official.push_back(likelihood.back() * p);
      total += likelihood.back(), official_total += official.back();
    }
    REQUIRE(whole[at].size() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
      const auto w = static_cast<std::size_t>(whole[at][i].index);
      const auto t = static_cast<std::size_t>(twice[at][i].index);
      CHECK(whole[at][i].probability == doctest::Approx(likelihood[w] / total).epsilon(1e-10));
      CHECK(twice[at][i].probability ==
            doctest::Approx(official[t] / official_total).epsilon(1e-10));
      if (i) CHECK(whole[at][i].probability <= whole[at][i - 1].probability);
    }
    // Of k = 3, those with the likeliest first words.
    REQUIRE(three[at].size() == 3);
    const auto best = albef::largest(std::span<const double>(first).subspan(at * 5, 5), 3);
    for (const auto& answer : three[at])
      CHECK(std::find(best.begin(), best.end(), answer.index) != best.end());
  }
}

TEST_CASE("VQA: ranking of a list longer than what is scored at once") {
  VqaBench b;
  b.ctx.begin_step(0);
  albef::TextBatch list;
  for (std::int32_t u = 4; u < vocabulary; ++u) {
    list.add(Ids{2, u, 3});
    for (std::int32_t v = 4; v < vocabulary; ++v) list.add(Ids{2, u, v, 3});
  }
  const int n = list.count();
  REQUIRE(3 * n > 128);
  const auto ranked = albef::rank_answers(b.ctx, b.model.text_decoder, states(b), list, {.k = n});
  for (int q = 0; q < 3; ++q) {
    std::vector<double> scores;
    for (int a = 0; a < n; ++a) scores.push_back(log_likelihood(b, q, list.text(a)));
    const auto expected = albef::largest(std::span<const double>(scores), n);
    const auto& got = ranked[static_cast<std::size_t>(q)];
    REQUIRE(static_cast<int>(got.size()) == n);
    double sum = 0;
    for (const auto& answer : got) sum += answer.probability;
    CHECK(sum == doctest::Approx(1));
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i].index == expected[i]);
  }
}

TEST_CASE("VQA: greedy generation follows the best next word of the whole text") {
  VqaBench b;
  b.ctx.begin_step(0);
  const auto texts = albef::generate(b.ctx, b.model.text_decoder, states(b),
                                     {.first_id = 2, .last_id = 3, .max_length = 4});
  REQUIRE(texts.size() == 3);
  for (int q = 0; q < 3; ++q) {
    Ids ids{2};
    double sum = 0;
    bool finished = false;
    while (ids.size() < 5 && !finished) {
      const auto scores = next_scores(b, q, ids).back();
      const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
      sum += scores[static_cast<std::size_t>(best)];
      finished = best == 3;
      ids.push_back(static_cast<std::int32_t>(best));
    }
    if (finished) ids.pop_back();
    const auto& text = texts[static_cast<std::size_t>(q)];
    CHECK(text.ids == Ids(ids.begin() + 1, ids.end()));
    CHECK(text.finished == finished);
    CHECK(text.log_probability == doctest::Approx(sum).epsilon(1e-12));
  }
}

TEST_CASE("VQA: a beam as wide as the vocabulary finds the most probable text") {
  VqaBench b;
  b.ctx.begin_step(0);
  const auto texts = albef::generate(
      b.ctx, b.model.text_decoder, states(b),
      {.first_id = 2, .last_id = 3, .max_length = 2, .beams = vocabulary * vocabulary});
  for (int q = 0; q < 3; ++q) {
    double best = -1e30;
    Ids best_ids;
    const auto consider = [&](double score, const Ids& ids) {
      if (score > best) best = score, best_ids = ids;
    };
    const auto first = next_scores(b, q, {2}).back();
    consider(first[3], {});
    for (std::int32_t u = 0; u < vocabulary; ++u) {
      if (u == 3) continue;
      const auto second = next_scores(b, q, {2, u}).back();
      const double so_far = first[static_cast<std::size_t>(u)];
      for (std::int32_t v = 0; v < vocabulary; ++v)
        consider(so_far + second[static_cast<std::size_t>(v)], v == 3 ? Ids{u} : Ids{u, v});
    }
    const auto& text = texts[static_cast<std::size_t>(q)];
    CHECK(text.ids == best_ids);
    CHECK(text.log_probability == doctest::Approx(best).epsilon(1e-12));
  }
}

TEST_CASE("VQA: batches and lists that do not fit are refused") {
  VqaBench b;
  const auto refused = [&](const auto& change, const char* message) {
    auto batch = host;
    change(batch);
    CHECK_THROWS_WITH_AS(upload(b, batch), message, albef::Error);
  };
  refused([](auto& x) { x.answer_counts = {2, 2}; }, "[vqa] got 2 answer counts for 3 questions");
  refused(
      [](auto& x) {
        x.answer_counts = {2, 0, 1};
      },
      "[vqa] the questions have 3 answers in all; got 4 answers and 4 weights");
  refused([](auto& x) { x.weights.pop_back(); },
          "[vqa] the questions have 4 answers in all; got 4 answers and 3 weights");
  refused([](auto& x) { x.answers.ids[1] = 99; },
          "token id 99 is outside the model's vocabulary of 11");
  albef::TextBatch list;
  const auto x = states(b);
  CHECK_THROWS_WITH_AS(albef::rank_answers(b.ctx, b.model.text_decoder, x, list),
                       "[vqa] the answer list is empty", albef::Error);
  list.add(Ids{2, 5, 3});
  list.add(Ids{2});
  CHECK_THROWS_WITH_AS(
      albef::rank_answers(b.ctx, b.model.text_decoder, x, list),
      "[vqa] answer 1 of the list does not begin with the token of the others, or has no word",
      albef::Error);
  auto asked = host;
  asked.answers.clear(), asked.answer_counts.clear(), asked.weights.clear();
  CHECK_THROWS_WITH_AS(vqa_loss(b.ctx, b.model, upload(b, asked), 0),
                       "[vqa] the batch has no answers to learn", albef::Error);
}

}  // namespace vqa_test
