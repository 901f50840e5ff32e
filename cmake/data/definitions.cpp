// The definitions of text/, data/, the files of checkpoint/ and the loop of train/, compiled once:
// one file, because most of the time goes into the headers they share.
#define ALBEF_DATA_SOURCE
#include "albef/checkpoint/info.hpp"
#include "albef/checkpoint/safetensors.hpp"
#include "albef/core/json.hpp"
#include "albef/data/annotations.hpp"
#include "albef/data/answers.hpp"
#include "albef/data/blur.hpp"
#include "albef/data/bmp.hpp"
#include "albef/data/captions.hpp"
#include "albef/data/codec.hpp"
#include "albef/data/codec_options.hpp"
#include "albef/data/color_jitter.hpp"
#include "albef/data/gif.hpp"
#include "albef/data/grounding.hpp"
#include "albef/data/image_store.hpp"
#include "albef/data/jpeg.hpp"
#include "albef/data/json_record.hpp"
#include "albef/data/loader.hpp"
#include "albef/data/multi_crop.hpp"
#include "albef/data/noise.hpp"
#include "albef/data/picture_format.hpp"
#include "albef/data/picture_reader.hpp"
#include "albef/data/png.hpp"
#include "albef/data/pnm.hpp"
#include "albef/data/randaugment.hpp"
#include "albef/data/read_bytes.hpp"
#include "albef/data/resize.hpp"
#include "albef/data/retrieval_set.hpp"
#include "albef/data/shard_writer.hpp"
#include "albef/data/shared_pictures.hpp"
#include "albef/data/sources.hpp"
#include "albef/data/statements.hpp"
#include "albef/data/tiff.hpp"
#include "albef/data/tone.hpp"
#include "albef/data/vqa.hpp"
#include "albef/data/warp.hpp"
#include "albef/data/webdataset.hpp"
#include "albef/data/webp.hpp"
#include "albef/text/batch.hpp"
#include "albef/text/clean.hpp"
#include "albef/text/masking.hpp"
#include "albef/text/tokenizer_json.hpp"
#include "albef/text/unicode.hpp"
#include "albef/text/vocabulary.hpp"
#include "albef/text/word_splitter.hpp"
#include "albef/text/wordpiece.hpp"
#include "albef/train/metrics.hpp"
#include "albef/train/plateau.hpp"
#include "albef/train/progress.hpp"
#include "albef/train/run_folder.hpp"
#include "albef/train/tokenizer_info.hpp"
#include "albef/train/training_loop.hpp"
#include "albef/train/validation.hpp"

ALBEF_IS_LIBRARY(albef_data_compiled)

namespace albef {
template class BatchLoader<PairBatch>;
template class BatchLoader<CropBatch>;
template class BatchLoader<VqaBatch>;
template class BatchLoader<ClassBatch>;
}  // namespace albef
