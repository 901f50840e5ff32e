// Sheets of statements about pictures and a model's verdicts.
#pragma once

#include <cstddef>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "albef/tasks/statements.hpp"
#include "albef/viz/task_sheet.hpp"

namespace albef {

/// Writes a PNG with `entries` pictures of the set, or groups of them, and up to three statements
/// about each with what was said; the title goes on with the accuracy.
inline void write_statement_sheet(const std::string& path, const std::string& title,
                                  const StatementSet& set, const StatementResults& results,
                                  int entries) {
  std::vector<SheetExample> examples;
  std::vector<std::size_t> read;  // the record of each
  for (std::size_t i = 0; i < set.size(); ++i) {
    const StatementRecord& record = set[i];
    const int said = results.predictions[i];
    if (said < 0) continue;  // it was skipped
    read.push_back(i);
    examples.push_back({record.key,
                        {.question = record.sentence,
                         .answer = results.labels[static_cast<std::size_t>(said)],
                         .truth = results.labels[static_cast<std::size_t>(record.label)],
                         .score = results.certainty[i],
                         .mark = said == record.label ? Mark::right : Mark::wrong}});
  }
  write_task_sheet(path, concat(title, ": ", percent(results.accuracy())), examples, entries,
                   set.format().pictures, [&](std::size_t i, std::size_t p, auto& bytes) {
                     set.read_image(read[i], p, bytes);
                   });
}

/// Evaluates files of statements one by one, prints tables, and returns the results by file. With a
/// path, `sheet` shows `entries` examples of the first.
template <class S>
nlohmann::ordered_json report_statements(S& session, const std::vector<std::string>& files,
                                         const StatementFormat& format,
                                         const AnnotationOptions& annotations,
                                         const LoaderOptions& loader, const std::string& by,
                                         const std::string& title, const std::string& sheet,
                                         int entries) {
  nlohmann::ordered_json results;
  for (const std::string& file : files) {
    const auto set = open_statements({file}, format, annotations);
    const StatementResults r = evaluate_statements(session, set, by, loader);
    r.print(stdout, file);
    if (!sheet.empty() && results.empty())
      write_statement_sheet(sheet, title + ", " + file, *set, r, entries);
    results[file] = r.json();
  }
  return results;
}

}  // namespace albef
