// Data sets in ALBEF's JSON annotation format: a list of {image, caption} objects, pictures as
// files or in shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "albef/core/compiled.hpp"
#include "albef/core/error.hpp"
#include "albef/data/json_records.hpp"
#include "albef/data/record.hpp"

namespace albef {

/// One or several JSON files, each a list of objects with `image` (path), `caption` (string or list
/// of strings; AnnotationOptions::caption_field) and optionally `image_id` (integer or string): the
/// pre-training, retrieval and, with the field "text", grounding formats of the official code
/// (dataset/caption_dataset.py, grounding_dataset.py). Other fields are kept as they are. Records
/// share Record::image_id where `image_id` is the same or, without one, where the path is the same.
///
/// What is wrong with a file or record is reported as JsonRecords says.
class JsonAnnotations : public Source {
 public:
  explicit JsonAnnotations(const std::vector<std::string>& files,
                           const AnnotationOptions& options = {});
  explicit JsonAnnotations(const std::string& file, const AnnotationOptions& options = {});

  std::size_t size() const override { return records_.size(); }
  const Record& record(std::size_t index) const override { return records_[index]; }
  void read_image(std::size_t index, std::vector<std::uint8_t>& bytes) const override;
  std::string describe(std::size_t index) const override { return records_.describe(index); }

 private:
  struct Parser {
    std::string caption_field;
    std::unordered_map<std::string, std::int64_t> ids;

    void operator()(const detail::JsonFields& fields, Record& record) {
      record.key = fields.text("image");
      record.captions = fields.texts(caption_field.c_str());
      const std::string id =
          fields.has("image_id") ? "id " + fields.id("image_id") : "path " + record.key;
      record.image_id = ids.try_emplace(id, static_cast<std::int64_t>(ids.size())).first->second;
      record.fields = fields.others({"image", caption_field, "image_id"});
    }
  };

  JsonRecords<Record> records_;
};

}  // namespace albef

#if ALBEF_DATA_DEFINITIONS

namespace albef {

ALBEF_DATA_INLINE JsonAnnotations::JsonAnnotations(const std::vector<std::string>& files,
                                                   const AnnotationOptions& options)
    : records_(files, options, Parser{options.caption_field, {}}) {}

ALBEF_DATA_INLINE JsonAnnotations::JsonAnnotations(const std::string& file,
                                                   const AnnotationOptions& options)
    : JsonAnnotations(std::vector<std::string>{file}, options) {}

ALBEF_DATA_INLINE void JsonAnnotations::read_image(std::size_t index,
                                                   std::vector<std::uint8_t>& bytes) const {
  records_.read_image(index, record(index).key, bytes);
}

}  // namespace albef
#endif  // ALBEF_DATA_DEFINITIONS
