// Probes of a data set from start to end: features of two labelled sets, what the probes make of
// them, printed, as JSON and as pictures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/data/labelled.hpp"
#include "albef/data/loader.hpp"
#include "albef/tasks/probe_evaluation.hpp"
#include "albef/viz/attention_sheet.hpp"
#include "albef/viz/feature_map.hpp"

namespace albef {

/// What is probed, and how.
struct ProbeRequest {
  std::vector<std::string> train{}, test{};  ///< labelled sets, see open_labelled()
  std::string class_names{};  ///< file with the names of the classes, see read_class_names()
  std::string field = LabelledOptions{}.field;
  std::string image_root{}, test_image_root{};  ///< where pictures of tables and JSON files are
  Domain domain = Domain::image;
  std::vector<std::string> methods{"linear", "knn"};
  ProbeSettings settings{};
  EncodingOptions encoding{};
  bool strict = false;     ///< an unusable record is an Error
  std::string pictures{};  ///< folder for attention.png and features.png; empty: none
  int shown = 6;           ///< pictures on the attention sheet
};

/// The two sets of a request; the classes of the training set are those of both.
struct ProbeSets {
  LabelledPtr train, test;

  explicit ProbeSets(const ProbeRequest& request) {
    LabelledOptions options{.field = request.field, .image_root = request.image_root};
    if (!request.class_names.empty()) options.classes = read_class_names(request.class_names);
    train = open_labelled(request.train, options);
    options.classes = train->classes();
    if (!request.test_image_root.empty()) options.image_root = request.test_image_root;
    test = open_labelled(request.test, options);
  }
};

namespace detail {

inline void make_picture_folder(const std::string& folder) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  require(!problem, "cannot make the folder '", folder, "': ", problem.message());
}

/// The map of the test set's features, with its pictures where `pictures` says so.
inline void write_labelled_map(const std::string& path, const LabelledSource& set,
                               const LabelledFeatures& features, bool pictures,
                               const std::string& title) {
  constexpr int most = 2000;  // more points hide one another
  std::vector<std::uint32_t> rows(features.labels.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint32_t>(i);
  const LabelledFeatures some = rows_of(features, spread_over(rows, most));
  FeatureMap map = feature_map(some.mat(), some.labels, some.classes);
  std::vector<Image> images(pictures ? some.records.size() : 0);
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < images.size(); ++i)
    images[i] = load_picture(set, some.records[i], bytes, default_decoding());
  map.pictures.assign(images.begin(), images.end());
  write_feature_map(path, map, {.title = title});
}

}  // namespace detail

/// Probes the features that features(set, bad) gives of a labelled set, BadRecords bad; prints a
/// line per method and writes features.png.
template <class Features>
nlohmann::ordered_json report_probe(const ProbeSets& sets, const ProbeRequest& request,
                                    Features&& features) {
  const LabelledFeatures train = features(*sets.train, evaluation_records(request.strict));
  const LabelledFeatures test = features(*sets.test, evaluation_records(request.strict));
  auto json = nlohmann::ordered_json::object();
  for (const std::string& method : request.methods) {
    require(method == "linear" || method == "knn", "unknown method '", method,
            "', expected linear or knn");
    const ProbeResult found = method == "linear" ? linear_probe(train, test, request.settings)
                                                 : neighbour_probe(train, test, request.settings);
    std::printf("%-8s %s; %s %s\n", method.c_str(), found.score.text().c_str(),
                found.setting_name(), significant(found.setting, 6).c_str());
    if (!found.converged)
      std::fprintf(stderr,
                   "warning: the linear probe did not converge; standardise the features\n");
    json[method] = found.json();
  }
  std::fputs(test.skipped.text().c_str(), stdout);
  std::fflush(stdout);
  if (!request.pictures.empty()) {
    detail::make_picture_folder(request.pictures);
    detail::write_labelled_map(request.pictures + "/features.png", *sets.test, test,
                               request.domain != Domain::text, "Features of the test set");
  }
  return json;
}

/// The same of the features of a model, with attention.png of its image encoder.
template <class S>
nlohmann::ordered_json report_probe(S& session, const ProbeSets& sets,
                                    const ProbeRequest& request) {
  auto json = report_probe(sets, request, [&](const LabelledSource& set, BadRecords bad) {
    return labelled_features(session, request.domain, set, request.encoding, std::move(bad));
  });
  if (!request.pictures.empty() && request.domain == Domain::image) {
    BadRecords bad(1, nullptr);
    const auto records = spread_over(sets.test->usable(bad), request.shown);
    std::vector<std::string> names;
    for (const std::uint32_t record : records)
      names.push_back(sets.test->classes()[static_cast<std::size_t>(sets.test->label(record))]);
    write_attention_sheet(request.pictures + "/attention.png", session, *sets.test, records, names,
                          "What the class token looks at", request.encoding);
  }
  return json;
}

}  // namespace albef
