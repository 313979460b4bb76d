#include "tools/gi_invert/settings.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "engine/core/error.h"
#include "tools/common/options.h"
#include "tools/common/program.h"

namespace gi::tools {
namespace {

using Values = std::vector<std::pair<std::string, std::vector<std::string>>>;

/// Published settings under the names they are known by.
const std::map<std::string, Values> kPresets{
    {"invertinggradients",
     {{"steps", {"24000"}}, {"lr", {"0.1"}}, {"tv", {"0.2"}}, {"sign", {"yes"}}, {"box", {"yes"}}, {"decay", {"step"}}}},
};

CLI::Option* add_files(CLI::App& app, const std::string& name, std::vector<std::string>& target, const std::string& help) {
  return app.add_option(name, target, help)
      ->type_name("FILE")
      ->type_size(1)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void check(const Settings& s) {
  if (s.list_models) return;
  if (!s.images.empty() && !s.gradients.empty())
    throw UsageError(
        fmt::format("'{}': pictures and --gradient do not go together\n  hint: --truth {} scores a result with a picture",
                    s.images.front(), s.images.front()));
  if (s.images.empty() && s.gradients.empty() && !(s.explain_plan && !s.network.model.empty()))
    throw UsageError(
        "nothing to invert\n  hint: gi_invert photo.jpg --model lenetzhu, or gi_invert --gradient FILE --weights FILE --model "
        "NAME");
  if (!s.gradients.empty() && s.network.weights.empty() && !s.explain_plan)
    throw UsageError("--weights: not given\n  hint: the server knows the network the gradient was taken from; so must gi_invert");
  if (!s.truth.empty() && s.both_sides()) throw UsageError("--truth: goes with --gradient; a given picture is its own truth");
  if (s.fresh_networks && (!s.network.weights.empty() || !s.both_sides()))
    throw UsageError("--fresh-networks: draws a network for every victim and goes with pictures, without --weights and --gradient");
  if (!s.tune.empty() && !s.plan_file.empty()) throw UsageError("--plan-file: goes without --tune, which writes one");
  if (!s.tune.empty() && s.resume)
    throw UsageError(fmt::format("--tune: would change the run that --resume goes on with\n  hint: --plan-file {}", s.tune));
  if (!s.evaluate.empty() && !(s.tune + s.plan_file).empty())
    throw UsageError("--evaluate: runs another plan than the attack, without --tune and --plan-file");
  if (s.resume && s.checkpoint_every == 0) throw UsageError("--resume: needs a journal, --checkpoint-every 0 keeps none");
}

}  // namespace

Settings parse_settings(int argc, char** argv) {
  Settings s;
  CLI::App app{
      "Shows what an honest-but-curious server of federated learning sees of the images behind a gradient.\n\n"
      "gi_invert photo.jpg --model lenetzhu plays both sides: computes the client's gradient, forgets the picture, reconstructs it "
      "from "
      "the gradient and compares. gi_invert --gradient g.safetensors --weights w.safetensors --model resnet20 plays the server "
      "alone.\n\n"
      "The attack is that of Geiping et al., Inverting Gradients, NeurIPS 2020: cosine matching with signed Adam and total "
      "variation. "
      "Defaults are those of the paper's table of CIFAR-10 results (4800 iterations, learning rate 0.1, TV 0.01, one start); "
      "--preset "
      "invertinggradients is the longer setting later work compares with (24000 iterations, TV 0.2)."};
  app.name("gi_invert");
  app.get_formatter()->column_width(34);
  const auto in = [&](const char* group, CLI::Option* option) {
    option->group(group);
    return option;
  };

  const char* g = "What is inverted";
  app.add_option("images", s.images,
                 "Pictures (PNG, JPEG, BMP, binary PNM, first frame of a GIF): several victims, or with --batch one client's batch")
      ->type_name("FILE")
      ->group(g);
  in(g, app.add_flag("--batch", s.batch, "The pictures are one batch with one gradient"));
  in(g, add_files(app, "--gradient", s.gradients, "A received gradient, safetensors; repeated for several victims"));
  in(g, app.add_option("--shape", s.shape, "Images behind one --gradient: 1x3x32x32 (NxCxHxW)")->type_name("SHAPE"));
  in(g, app.add_option("--truth", s.truth, "The picture behind --gradient, to score the result; the attack never sees it")
            ->type_name("FILE"));
  in(g, add_wholes(app, "--labels", s.labels, 0, 1000000, "Class of every image; without it drawn from the seed, or recovered"));
  in(g, add_yes_no(app, "--labels-known", s.labels_known, "Whether the attacker is told the labels or recovers them"));
  in(g, add_wholes(app, "--crop", s.crop, 0, 1 << 24, "X,Y,W,H: only this part of every picture"));
  in(g, app.add_flag("--fresh-networks", s.fresh_networks, "Every victim has a random network of its own, from seed + its number"));

  add_network_options(app, s.network);

  g = "Attack";
  std::string decay = "step";
  in(g, app.add_option("--preset", s.preset, "Published settings, before which everything given goes: invertinggradients")
            ->type_name("NAME"));
  in(g, add_whole(app, "--steps", s.attack.steps, 1, 1000000, "Iterations"));
  in(g, add_real(app, "--lr", s.attack.learning_rate, 0, 1e6, "Learning rate"));
  in(g, add_real(app, "--tv", s.attack.tv, 0, 1e6, "Weight of total variation"));
  in(g, add_whole(app, "--restarts", s.attack.restarts, 1, 1000000, "Starts; the one of the least matching cost is kept"));
  in(g, add_seed(app, "--seed", s.network.seed, "Of everything that is drawn: starts, weights, classes"));
  in(g, add_yes_no(app, "--sign", s.attack.sign, "Adam sees the sign of the gradient only"));
  in(g, add_yes_no(app, "--box", s.attack.box, "Keep pixels within [0,1]"));
  in(g, add_choice(app, "--decay", decay, {"step", "none"}, "step: a tenth of the learning rate after 3/8, 5/8 and 7/8"));

  g = "How it is computed";
  in(g, add_choice(app, "--dtype", s.dtype, {"f32", "f64"}, "Numbers of the attack and of the gradient"));
  in(g, add_choice(app, "--device", s.device, {"auto", "cpu", "cuda"}, "Where; auto: on the GPU if there is one"));
  in(g, add_whole(app, "--threads", s.threads, 1, 4096, "Threads; the result does not depend on them")->default_str("all cores"));
  in(g, add_whole(app, "--lanes", s.lanes, 1, 4096,
                  "Trials side by side: in vector lanes 1 or the processor's pack, on a GPU any; by default also a batch's images, "
                  "where that is faster")
            ->default_str("by their number"));
  in(g, add_whole(app, "--memory", s.memory_mib, 1, 1 << 24, "MiB to stay within")->default_str("what is available"));
  in(g,
     add_files(
         app, "--impl", s.impl,
         "OP=KERNEL: this kernel and no other, as --explain-plan names them; winograd=no, 2 or 4: that tile for all 3x3 "
         "convolutions, within2 or within4: with transforms within their kernels; products=bf16x3 (AMX) or tf32 (a GPU): kernels "
         "that multiply so, where there are any")
         ->type_name("OP=KERNEL"));
  in(g, app.add_option("--tune", s.tune,
                       "Measure all kernels that serve each step, write the choice to this plan file and go on with it")
            ->type_name("FILE"));
  in(g, add_real(app, "--tune-seconds", s.tune_seconds, 1, 1e9, "After which --tune begins no further step"));
  in(g, app.add_option("--plan-file", s.plan_file, "The kernels that --tune chose")->type_name("FILE"));
  in(g, add_real(app, "--checkpoint-every", s.checkpoint_every, 0, 1e9, "Seconds between savings of the journal; 0: no journal"));
  in(g, app.add_flag("--resume", s.resume, "Go on with the run whose journal is in the output folder, if there is one"));
  in(g, app.add_flag("--profile", s.profile,
                     "Also tell what every step of the plan took: table, profile.json, trace.json (Perfetto)"));

  in(g, app.add_flag("--debug", s.debug, "Wait for every kernel of a GPU, to name the one that fails; slow"));

  g = "Instead of an attack";
  in(g, app.add_option("--evaluate", s.evaluate, "Distances, TV and derivatives at a candidate: tensor x [N,C,H,W], normalised")
            ->type_name("FILE"));
  in(g, app.add_flag("--explain-plan", s.explain_plan, "Kernels with reasons, memory, work and a guess of the time; runs nothing"));
  in(g, app.add_flag("--list-models", s.list_models, "The networks there are"));

  app.add_option("--output", s.output, "Folder for the results")->type_name("DIR")->capture_default_str();
  app.add_option("--config", s.config, "A TOML file of these options without dashes; the command line goes before it")
      ->type_name("FILE");
  app.set_version_flag("--version", version_line("gi_invert"));

  parse_command_line(app, argc, argv);
  if (!s.config.empty()) apply_config(app, s.config);
  if (!s.preset.empty()) {
    const auto preset = kPresets.find(s.preset);
    if (preset == kPresets.end()) throw UsageError(fmt::format("--preset: expected invertinggradients, got '{}'", s.preset));
    apply_values(app, preset->second, "--preset " + s.preset);
  }
  s.attack.decay = decay == "step";
  s.attack.seed = s.network.seed;
  check(s);
  return s;
}

}  // namespace gi::tools
