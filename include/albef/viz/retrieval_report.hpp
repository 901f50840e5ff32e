// Evaluation of retrieval and search over data sets, with what is printed and written of it.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "albef/core/file.hpp"
#include "albef/data/open.hpp"
#include "albef/tasks/retrieval.hpp"
#include "albef/tasks/search.hpp"
#include "albef/train/validation.hpp"
#include "albef/viz/retrieval_sheet.hpp"

namespace albef {

/// Files an evaluation of retrieval writes and reads; empty: none.
struct RetrievalReport {
  std::string output{};   ///< JSON with the results
  std::string summary{};  ///< JSON whose members are added to them
  std::string sheet{};    ///< PNG with queries of the first data set
  int sheet_rows = 4;     ///< queries per direction on it
};

/// evaluate_retrieval() of data sets, printed as a table while it goes on, and written to files.
template <class S>
void report_retrieval(S& session, std::span<const std::string> data,
                      const RetrievalEvaluation& options, const RetrievalReport& report) {
  const auto added =
      report.summary.empty() ? nlohmann::ordered_json::object() : read_results(report.summary);
  std::string sheet = report.sheet;
  std::fputs(retrieval_head().c_str(), stdout);
  auto results = evaluate_retrieval(
      session, data, options,
      [&](const std::string& name, const Source& source, const RetrievalResult& found) {
        std::fputs(retrieval_rows(name, found).c_str(), stdout);
        std::fflush(stdout);
        if (!sheet.empty())
          write_retrieval_sheet(sheet, name, source, found.set, found, report.sheet_rows);
        sheet.clear();
      });
  results.update(added);
  if (!report.output.empty()) write_file(report.output, results.dump(2) + '\n');
}

/// search_data() of data sets, see open_data(), printed and, with a path, drawn to the PNG `sheet`.
template <class S>
void report_search(S& session, const std::vector<std::string>& data, const std::string& image_root,
                   const SearchQueries& queries, const SearchOptions& options,
                   const std::string& sheet = "") {
  const SourcePtr source = open_data(data, image_root);
  const RetrievalSet set = retrieval_set(*source, evaluation_records(options.strict));
  const SearchResults found = search_data(session, *source, set, queries, options);
  std::fputs(search_text(*source, set, queries, found).c_str(), stdout);
  const Skipped skipped{set.records, found.skipped, set.skipped_texts};
  std::fputs(skipped.text().c_str(), stdout);
  if (!sheet.empty()) write_search_sheet(sheet, *source, set, queries, found);
}

}  // namespace albef
