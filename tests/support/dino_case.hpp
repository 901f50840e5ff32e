// Golden cases of DINO: head and loss, and optimizer steps.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "albef/tasks/dino.hpp"
#include "support/albef_case.hpp"

namespace albef {

/// The configuration of the small cases.
struct DinoNano : DinoConfig<Nano> {
  static constexpr int vision_width = 32, out_dim = 72;
  static constexpr int head_nlayers = 3, head_hidden_dim = 40, bottleneck_dim = 16;
  static constexpr float drop_path = 0;
};

template <class C>
concept DinoGolden = requires {
  C::head_nlayers;
};

/// Whether configuration C is the one a case was made with.
template <class C>
bool matches_dino_config(const nlohmann::json& config) {
  const std::pair<const char*, int> numbers[] = {
      {"image_size", C::image_res},          {"patch_size", C::patch_size},
      {"embed_dim", C::vision_width},        {"depth", C::vision_depth},
      {"num_heads", C::vision_heads},        {"mlp_ratio", C::mlp_ratio},
      {"head_nlayers", C::head_nlayers},     {"head_hidden_dim", C::head_hidden_dim},
      {"bottleneck_dim", C::bottleneck_dim}, {"out_dim", C::out_dim}};
  return std::all_of(std::begin(numbers), std::end(numbers),
                     [&](const auto& n) { return config.value(n.first, n.second) == n.second; });
}

namespace detail {

/// The case with the weights of student and teacher under the names of a store's two planes.
inline GoldenCase with_store_names(const GoldenCase& golden) {
  GoldenCase renamed = golden;
  renamed.weights.clear();
  for (const auto& [name, tensor] : golden.weights) {
    constexpr std::string_view student = "student.", teacher = "teacher.";
    if (name.starts_with(student)) renamed.weights[name.substr(student.size())] = tensor;
    if (name.starts_with(teacher))
      renamed.weights[momentum_name(name.substr(teacher.size()))] = tensor;
  }
  return renamed;
}

inline DinoOptions dino_options(const GoldenCase& golden) {
  const auto& hyper = golden.hyper;
  return {.student_temp = golden.config.at("student_temp"),
          .center_momentum = golden.config.at("center_momentum"),
          .warmup_teacher_temp = hyper.at("warmup_teacher_temp"),
          .teacher_temp = hyper.at("teacher_temp"),
          .warmup_teacher_temp_epochs = hyper.at("warmup_teacher_temp_epochs"),
          .norm_last_layer = hyper.value("norm_last_layer", true),
          .freeze_last_layer = hyper.value("freeze_last_layer", 0)};
}

}  // namespace detail

/// kind `dino`: head and loss on given features, step by step, with the centre's update.
template <class C, class Device>
void run_dino_case(const GoldenCase& original, GoldenReport& report) {
  constexpr int width = C::vision_width;
  static constexpr auto model = laid_out<DinoHead<C, width>>();
  const GoldenCase golden = detail::with_store_names(original);
  detail::CaseRunner<std::remove_const_t<decltype(model)>, Device> run(golden, model,
                                                                       Storage::momentum);
  auto& ctx = run.ctx();
  const DinoOptions options = detail::dino_options(golden);
  const int batch = golden.config.at("batch");
  std::set<std::string> fixed;
  if (options.norm_last_layer) fixed.insert("last_layer.weight_g");
  TeacherCenter<Device, float> center(run.device(), C::out_dim, options.center_momentum);
  for (int s = 1; s <= golden.hyper.at("steps").template get<int>(); ++s) {
    const std::string step = concat("step", s, '/');
    ctx.begin_step(static_cast<std::uint64_t>(s));
    run.store().clear_gradients();
    const auto rows = [&](const char* name) {
      return batch_of(static_cast<int>(golden.input(step + name).shape[0]));
    };
    const auto x =
        run.template variable<width>(step + "student_features", rows("student_features"));
    const auto t = ctx.template constant<width>(
        run.template upload<float>(step + "teacher_features"), rows("teacher_features"));
    const auto teacher = ctx.frozen(Plane::ema, [&] { return model(ctx, t); });
    const auto student = model(ctx, x);
    const double temp = options.teacher_temp_at(s - 1);
    const auto loss = self_distillation(ctx, student, teacher.mat(), center.data(), batch,
                                        options.student_temp, temp);
    report.check(step + "student_output", ctx.read(student));
    report.check(step + "teacher_output", ctx.read(teacher));
    report.check_value(step + "teacher_temp", temp);
    report.check_value(step + "loss", static_cast<double>(ctx.item(loss)));
    ctx.backward(loss);
    report.check(step + "grad_input/student_features", ctx.gradient(x));
    report.check_group(concat("grad_step", s), run.values(Plane::grad), fixed);
    center.collect(teacher.mat());
    center.commit();
    report.check(step + "center", run.read(center.data(), C::out_dim));
  }
}

/// kind `dino_step`: steps of the whole objective, one an epoch, with all schedules.
template <class C, class Device>
void run_dino_step_case(const GoldenCase& original, GoldenReport& report) {
  using T = Training<DinoTraining<C>, Device>;
  const GoldenCase golden = detail::with_store_names(original);
  const auto& hyper = golden.hyper;
  const int batch = golden.config.at("batch"), epochs = hyper.at("nepochs");
  const int locals = golden.config.at("local_crops_number");
  Device device;
  T training(device,
             {.optimizer = {.beta1 = hyper.at("betas").at(0),
                            .beta2 = hyper.at("betas").at(1),
                            .eps = hyper.at("eps"),
                            .weight_decay = hyper.at("weight_decay"),
                            .max_norm = hyper.at("clip_grad"),
                            .clip_each = true},
              .momentum = hyper.at("momentum_teacher"),
              .weight_decay_end = hyper.at("weight_decay_end").template get<double>(),
              .momentum_end = 1},
             {detail::dino_options(golden)});
  auto& store = training.store();
  auto& ctx = training.context();
  const auto read = [&](const float* from, std::int64_t n) {
    std::vector<float> out(static_cast<std::size_t>(n));
    copy_to_host(device, out.data(), from, n);
    return out;
  };
  const auto values = [&](Plane plane) {
    std::map<std::string, std::vector<float>> out;
    for (std::size_t i = 0; i < store.params().size(); ++i) {
      const ParamInfo& p = store.params()[i];
      if (plane != Plane::grad || store.touched(static_cast<int>(i)))
        out[p.name] = read(store.data(plane, p), p.size);
    }
    return out;
  };
  for (const ParamInfo& p : store.params())
    for (const auto& [plane, name] :
         {std::pair(Plane::online, p.name), {Plane::ema, momentum_name(p.name)}}) {
      const auto weights = golden.weight(name).template as<float>();
      copy_to_device(device, store.data(plane, p), weights.data(), p.size);
    }

  {  // what a local crop's positions are
    constexpr int side = T::Model::Config::image_res / C::patch_size, width = C::vision_width;
    const int local = golden.config.at("local_size").template get<int>() / C::patch_size;
    const GridResize grid{side, side, local, local, position_offset<C>()};
    const float* table = store.data(Plane::online, T::model.backbone.pos_embed);
    Buffer<Device, float> resized(device, std::int64_t{local * local + 1} * width);
    copy_on_device(device, resized.data(), table, width);
    run(device,
        primitive::ResizeGrid<float>{.x = mat(table + width, side * side, width),
                                     .grid = grid,
                                     .y = mat(resized.data() + width, local * local, width)});
    report.check("local_pos_embed", read(resized.data(), resized.size()));
  }

  const CosineSchedule lr{hyper.at("lr"), hyper.at("min_lr"), epochs, hyper.at("warmup_epochs")};
  for (int s = 1; s <= hyper.at("steps").template get<int>(); ++s) {
    const std::string step = concat("step", s, '/');
    const Pace pace{s - 1, epochs, static_cast<double>(s - 1)};
    ctx.begin_step(static_cast<std::uint64_t>(s));
    const auto crops = [&](int i) {
      const int first = i == 0 ? 0 : 2, count = i == 0 ? 2 : locals;
      std::vector<float> all;
      for (int c = first; c < first + count; ++c) {
        const auto one = golden.input(concat(step, "crop", c)).template as<float>();
        all.insert(all.end(), one.begin(), one.end());
      }
      const int size = static_cast<int>(golden.input(concat(step, "crop", first)).shape[2]);
      return Images<float>{ctx.template constant<dynamic_width>(
                               ctx.upload(all), batch_of(count * batch), 3 * size * size),
                           3, size, size};
    };
    const int sizes = locals > 0 ? 2 : 1;
    report.check(step + "student_output",
                 ctx.no_grad([&] { return ctx.read(T::model(ctx, sizes, crops)); }));
    const auto loss = training.objective().loss(ctx, T::model, sizes, crops, batch,
                                                {.epoch = pace.epoch}, training.state());
    report.check_value(step + "loss", static_cast<double>(ctx.item(loss)));
    const Mat<const float> teacher = training.state().teacher;
    report.check(step + "teacher_output",
                 read(teacher.data, std::int64_t{teacher.rows} * teacher.cols));
    ctx.backward(loss);
    training.state().advance(ctx);

    auto gradients = values(Plane::grad);
    if (s != 2) report.check_group(concat("grad_step", s), gradients);
    std::vector<double> norms;
    const double clip = hyper.at("clip_grad");
    for (const auto& name : golden.json.at("optimizer").at("grad_norms_order")) {
      auto& gradient = gradients.at(name.template get<std::string>());
      double square = 0;
      for (const float v : gradient) square += static_cast<double>(v) * static_cast<double>(v);
      norms.push_back(std::sqrt(square));
      const double factor = std::min(1.0, clip / (norms.back() + 1e-6));
      for (float& v : gradient) v = static_cast<float>(v * factor);
    }
    report.check(step + "grad_norms", norms);
    if (pace.epoch < training.objective().options.freeze_last_layer)
      std::erase_if(gradients,
                    [](const auto& g) { return g.first.starts_with("head.last_layer."); });
    if (s != 2) report.check_group(concat("clipped_step", s), gradients);

    report.check_value(step + "lr", lr.at(pace.step));
    report.check_value(step + "weight_decay", training.weight_decay(pace));
    report.check_value(step + "momentum", training.momentum(pace));
    training.update(lr.at(pace.step), 1, pace);
    report.check(step + "center", read(training.state().center.data(), C::out_dim));
    if (s == 1) continue;
    report.check_group(concat("after_step", s, "_student"), values(Plane::online));
    report.check_group(concat("after_step", s, "_teacher"), values(Plane::ema));
  }
}

}  // namespace albef
