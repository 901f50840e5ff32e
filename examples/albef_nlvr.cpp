// albef_nlvr: natural language for visual reasoning (NLVR2). Is a statement true of two pictures?
// Pre-trains the encoder of pairs by text assignment, trains, evaluates and asks the model.
#include "common/open_data.hpp"
#include "common/program.hpp"
#include "common/statement_task.hpp"

namespace {

const examples::StatementTask task{.name = "nlvr",
                                   .title = "Statements about two pictures",
                                   .data_help =
                                       "JSON files: lists of {\"images\": [left, right], "
                                       "\"sentence\", \"label\"}, where the label is "
                                       "True or False",
                                   .format = albef::reasoning_format(),
                                   .paper = {.epochs = 10, .batch_size = 16}};
const examples::RunDefaults assign_tiny{.epochs = 10,
                                        .batch_size = 64,
                                        .lr = 2e-4,
                                        .min_lr = 1e-5,
                                        .new_model_lr = 1e-3,
                                        .max_text_length = 25,
                                        .crop_low = 0.9f};
const examples::RunDefaults assign_paper{
    .epochs = 1, .batch_size = 64, .min_lr = 1e-5, .max_text_length = 25, .crop_low = 0.2f};

/// Learns which of two pictures a caption belongs to, if any.
template <class C, class Precision>
int assign(examples::TaskArguments args, auto& device) {
  using namespace albef;
  using Device = std::remove_reference_t<decltype(device)>;
  args.complete<C>(assign_tiny, assign_paper);
  const SourcePtr source = examples::open_data(args.data, args.image_root);
  const WordPiece tokenizer = args.tokenizer(examples::clean_captions(*source), C::vocab_size);
  Loader loader(source, tokenizer, args.transform(C::image_res), args.loader());
  TextAssignmentTask<C, Device, Precision> trained(device, args.train.seed);
  return examples::run_training("text assignment", args, trained, loader, tokenizer);
}

}  // namespace

int main(int argc, char** argv) {
  examples::Program app{"Reasoning about pairs of pictures: is a statement true of them?",
                        "albef_nlvr"};
  app.require_subcommand(1).fallthrough();
  app.footer(
      "Examples:\n"
      "  albef_nlvr assign --init pretrained/checkpoint.safetensors --data captions.json \\\n"
      "    --image-root images --output assigned\n"
      "  albef_nlvr train --init assigned/checkpoint.safetensors --data nlvr_train.json \\\n"
      "    --val nlvr_dev.json --image-root images --output nlvr\n"
      "  albef_nlvr evaluate -m nlvr/checkpoint_best.safetensors --data nlvr_test.json \\\n"
      "    --image-root images --output results.json --sheet sheet.png\n"
      "  albef_nlvr predict -m nlvr/checkpoint_best.safetensors --images left.jpg right.jpg \\\n"
      "    --text 'both images contain a cat'");

  examples::TaskArguments assigning;
  examples::Command assign_command = app.add_subcommand(
      "assign",
      "pre-train with captions, before `train`: which of two pictures does a caption belong to, or "
      "neither?");
  assigning.add_to(assign_command, {.data = examples::data_help, .distills = false}, false);

  examples::StatementCommands commands(app, task);
  return app.run(argc, argv, [&] {
    if (assign_command)
      return examples::with_training(assigning, [&]<class C, class P>(auto& device) {
        return assign<C, P>(assigning, device);
      });
    return commands.run<albef::AlbefNlvr>();
  });
}
