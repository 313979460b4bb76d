#include <fmt/format.h>

#include "engine/ops/elementwise.h"
#include "engine/ops/movement.h"
#include "models/architectures.h"

namespace gi::models {
namespace {

/// x as the residual branch's output `like` needs it; the modules of option B are registered after the main path's.
Value shortcut(Builder& b, const std::string& name, Value x, const Shape& like, std::int64_t stride, ResNet::Shortcut option) {
  if (x.shape() == like) return x;
  const std::int64_t out = like[2], in = x.shape()[2];
  if (option == ResNet::Shortcut::b) {
    x = b.conv(name + "downsample.0", x, out, 1, {.stride = stride, .bias = false});
    return b.batchnorm(name + "downsample.1", x);
  }
  PadAttrs zeros;
  zeros.before[2] = (out - in) / 2;
  zeros.after[2] = out - in - zeros.before[2];
  return pad(b.avg_pool(x, 1, stride), zeros);
}

Value block(Builder& b, const std::string& name, Value x, std::int64_t width, std::int64_t stride, const ResNet& net) {
  Value y;
  if (net.bottleneck) {  // the stride sits on the 3x3 convolution
    y = b.relu(b.batchnorm(name + "bn1", b.conv(name + "conv1", x, width, 1, {.bias = false})));
    y = b.relu(b.batchnorm(name + "bn2", b.conv(name + "conv2", y, width, 3, {.stride = stride, .pad = 1, .bias = false})));
    y = b.batchnorm(name + "bn3", b.conv(name + "conv3", y, 4 * width, 1, {.bias = false}));
  } else {
    y = b.relu(b.batchnorm(name + "bn1", b.conv(name + "conv1", x, width, 3, {.stride = stride, .pad = 1, .bias = false})));
    y = b.batchnorm(name + "bn2", b.conv(name + "conv2", y, width, 3, {.pad = 1, .bias = false}));
  }
  return b.relu(add(y, shortcut(b, name, x, y.shape(), stride, net.shortcut)));
}

}  // namespace

Value resnet(Builder& b, Value x, const ResNet& net) {
  b.initialisation(InitScheme::kaiming_fan_out);
  const ConvOptions stem =
      net.imagenet_stem ? ConvOptions{.stride = 2, .pad = 3, .bias = false} : ConvOptions{.pad = 1, .bias = false};
  x = b.relu(b.batchnorm("bn1", b.conv("conv1", x, net.width, net.imagenet_stem ? 7 : 3, stem)));
  if (net.imagenet_stem) x = b.max_pool(x, 3, 2, 1);
  for (std::size_t stage = 0; stage < net.blocks.size(); ++stage) {
    const std::string stage_name = net.stages_from_zero ? fmt::format("layers.{}", stage) : fmt::format("layer{}", stage + 1);
    for (std::int64_t i = 0; i < net.blocks[stage]; ++i)
      x = block(b, fmt::format("{}.{}.", stage_name, i), x, net.width << stage, stage > 0 && i == 0 ? 2 : 1, net);
  }
  return b.linear(net.classifier, b.global_avg_pool(x), b.classes());
}

}  // namespace gi::models
