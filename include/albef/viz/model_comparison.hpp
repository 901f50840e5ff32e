// Several trained models measured alike: zero-shot retrieval by features, probes of the image
// encoder; one table, one JSON object, pictures of each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "albef/core/number.hpp"
#include "albef/data/open.hpp"
#include "albef/tasks/retrieval.hpp"
#include "albef/viz/probe_report.hpp"
#include "albef/viz/retrieval_sheet.hpp"

namespace albef {

/// What each model is measured by; what is empty is left out.
struct ComparisonRequest {
  std::vector<std::string> retrieval{};  ///< PATH or NAME=PATH, pictures with captions
  std::string image_root{};
  ProbeRequest probe{};    ///< its pictures are made for each model
  std::string pictures{};  ///< folder with one for each model; empty: none
  int sheet_rows = 4;      ///< queries per direction on retrieval.png
};

/// Measures a model: {"retrieval": {set: {"pool", "texts", "tr1", ...}}, "linear": {...},
/// "knn": {...}}; `name` is its folder of pictures.
template <class S>
nlohmann::ordered_json measure_model(S& session, const ComparisonRequest& request,
                                     const std::string& name) {
  auto json = nlohmann::ordered_json::object();
  const std::string folder = request.pictures.empty() ? "" : request.pictures + '/' + name;
  if (!folder.empty()) detail::make_picture_folder(folder);
  if constexpr (requires(typename S::Ctx & ctx, const Tokens& texts) {
                  S::model.encode_text(ctx, texts);
                }) {
    std::string sheet = folder.empty() ? "" : folder + "/retrieval.png";
    for (const auto& [set_name, path] : named_paths(request.retrieval)) {
      const SourcePtr source = open_source(path, request.image_root);
      const RetrievalResult found = retrieval_by_similarity(
          session, *source, retrieval_set(*source, evaluation_records(request.probe.strict)),
          request.probe.encoding);
      auto& entry = json["retrieval"][set_name];
      entry = {{"pool", found.images}, {"texts", found.texts}};
      entry.update(to_json(found.itc));
      found.skipped().add_to(entry);
      std::printf("%s: TR@1 %s, IR@1 %s of %d\n", set_name.c_str(), fixed(found.itc.tr1, 1).c_str(),
                  fixed(found.itc.ir1, 1).c_str(), found.images);
      if (!sheet.empty())
        write_retrieval_sheet(sheet, set_name, *source, found.set, found, request.sheet_rows);
      sheet.clear();
    }
  }
  if (!request.probe.train.empty()) {
    ProbeRequest probe = request.probe;
    probe.pictures = folder;
    json.update(report_probe(session, ProbeSets(probe), probe));
  }
  return json;
}

/// A table of what measure_model() gave of several models, by name: percentages, one line a model.
inline std::string comparison_table(const nlohmann::ordered_json& models) {
  struct Column {
    std::string head;
    nlohmann::json::json_pointer path;
    double factor;
  };
  std::vector<Column> columns;
  const auto add = [&](const std::string& head, const std::string& path, double factor) {
    const nlohmann::json::json_pointer pointer(path);
    for (const Column& c : columns)
      if (c.path == pointer) return;
    const std::string room(5 - std::min<std::size_t>(5, head.size()), ' ');  // for "100.0"
    columns.push_back({room + head, pointer, factor});
  };
  std::size_t width = 5;
  for (const auto& [name, found] : models.items()) {
    width = std::max(width, name.size());
    if (found.contains("retrieval"))
      for (const auto& [set, recalls] : found["retrieval"].items())
        for (const auto& [key, head] :
             {std::pair("tr1", "TR@1"), {"tr5", "TR@5"}, {"ir1", "IR@1"}, {"ir5", "IR@5"}}) {
          std::string escaped;
          for (const char c : set) escaped += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
          add(set + ' ' + head, "/retrieval/" + escaped + '/' + key, 1);
        }
    for (const char* const key : {"zero_shot", "linear", "knn"})
      if (found.contains(key)) add(key, concat('/', key, "/accuracy"), 100);
  }
  const auto padded = [](const std::string& text, std::size_t to) {
    return text + std::string(to - std::min(to, text.size()), ' ');
  };
  std::string out = padded("model", width);
  for (const Column& c : columns) out += "  " + c.head;
  out += '\n';
  for (const auto& [name, found] : models.items()) {
    out += padded(name, width);
    for (const Column& c : columns) {
      const std::string text = found.contains(c.path)
                                   ? fixed(c.factor * found.at(c.path).template get<double>(), 1)
                                   : "-";
      out += "  " + std::string(c.head.size() - std::min(c.head.size(), text.size()), ' ') + text;
    }
    out += '\n';
  }
  return out;
}

}  // namespace albef
