// albef_ground: locates what an expression refers to by Grad-CAM of the cross-attention: training
// on expressions, evaluation on a referring expression corpus, heat maps of a picture.
#include <cstdio>

#include "albef/tasks/grounding_settings.hpp"
#include "albef/viz/grounding_sheet.hpp"
#include "common/grounding_commands.hpp"
#include "common/run.hpp"

namespace {

using namespace albef;

template <class C, class Precision>
int train(examples::Run<GroundingSettings> run, auto& device) {
  run.complete<C>();
  const SourcePtr source = run.source();
  const auto val = run.validation_set();
  const WordPiece tokenizer = run.tokenizer(clean_captions(*source), C::vocab_size);
  Loader loader = run.loader(source, tokenizer, C::image_res);
  const RetrievalTraining<C> objective{run.queue_size, run.objective_options()};
  const auto train = [&](auto&& validate) {
    return train_with_curves<Precision>("grounding", run, device, objective, loader, tokenizer,
                                        {{"max_text_length", concat(run.max_text_length)}},
                                        validate);
  };
  if (!val) return train(nullptr);
  return train([&](auto& session) {
    return validate_grounding(session, *val, run.layer,
                              {.batch_size = run.batch_size, .workers = run.workers});
  });
}

int evaluate(auto& model, const examples::GroundingArguments& args) {
  const GroundingSet set(args.files, evaluation_records(args.strict));
  const auto results = report_grounding(model, set, args.layers, args.encoding, args.sheet,
                                        args.heat_maps, args.shown);
  if (!args.output.empty()) write_file(args.output, results.dump(2) + '\n');
  return 0;
}

int predict(auto& model, const examples::GroundingArguments& args) {
  const Image picture = load_image(args.images.front());
  std::vector<RealBox> boxes;
  for (const auto& box : args.boxes) boxes.push_back(parse_box(box, picture.width, picture.height));
  GroundingSheets sheets;
  for (GroundedText& found :
       ground_texts(model, args.images.front(), args.texts, args.layer, args.encoding)) {
    std::fputs(grounding_text(found, model.tokenizer(), boxes).c_str(), stdout);
    sheets.add(picture, std::move(found), boxes);
  }
  if (!args.output.empty()) sheets.write_heat_maps(args.output, model.tokenizer());
  if (!args.sheet.empty()) sheets.write_boxes(args.sheet);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{
      "Visual grounding with ALBEF: which part of a picture an expression refers to, learned from "
      "pairs of pictures and expressions without boxes, read from the cross-attention by Grad-CAM. "
      "`albef_ground train --help` tells about training, and so on.",
      "albef_ground"};

  examples::Run<GroundingSettings> run;
  examples::Command train_command = app.add_subcommand(
      "train",
      "Fine-tunes on expressions (ITC and ITM, pictures are not cropped). Writes to the output "
      "folder: checkpoint.safetensors (the last state, to resume), checkpoint_best.safetensors and "
      "results.json (of the best epoch on --val by chosen boxes, or by pointing without "
      "--detections), metrics.jsonl, losses.png, summary.json, vocab.txt.");
  train_command.footer(
      "Example:\n"
      "  make_scenes --easy --scenes 2000 --output scenes\n"
      "  albef_ground train --init pretrained/checkpoint.safetensors \\\n"
      "    --data scenes/grounding_train.json --image-root scenes/train.tar \\\n"
      "    --val scenes/grounding_val.json --val-image-root scenes/val.tar \\\n"
      "    --refs scenes/refs.json --instances scenes/instances.json \\\n"
      "    --detections scenes/dets.json --output grounding");
  add_options(train_command, run);

  examples::Command evaluate_command = app.add_subcommand(
      "evaluate",
      "Measures in percent how often the largest value of the map lies in the object (pointed), "
      "and how often the box with the highest score, the sum of the map / sqrt(area), overlaps it "
      "by at least a half (found).");
  evaluate_command.footer(
      "Example:\n"
      "  albef_ground evaluate -m grounding/checkpoint_best.safetensors \\\n"
      "    -d scenes/grounding_test.json --image-root scenes/test.tar --refs scenes/refs.json \\\n"
      "    --instances scenes/instances.json --detections scenes/dets.json \\\n"
      "    --sheet boxes.png --heat-maps words.png");
  examples::GroundingArguments measured;
  measured.add_evaluation(evaluate_command);

  examples::Command predict_command = app.add_subcommand(
      "predict",
      "Locates expressions in a picture: where the map of each word is largest, and the ranking of "
      "boxes where some are given.");
  predict_command.footer(
      "Example:\n"
      "  albef_ground predict -m grounding/checkpoint_best.safetensors --image table.jpg \\\n"
      "    --text \"the cup to the left of the book\" --output words.png \\\n"
      "    --box 12,40,80,96 --box 130,38,77,90 --sheet boxes.png");
  examples::GroundingArguments located;
  located.add_prediction(predict_command);

  return app.run(argc, argv, [&] {
    if (train_command)
      return examples::with_training(
          run, [&]<class C, class P>(auto& device) { return train<C, P>(run, device); });
    if (evaluate_command)
      return examples::with_model<Albef>(measured, [&](auto& m) { return evaluate(m, measured); });
    return examples::with_model<Albef>(located, [&](auto& m) { return predict(m, located); });
  });
}
