// Images and labels for tests of whole networks.
#pragma once

#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <vector>

#include "engine/core/tensor.h"
#include "models/normalization.h"

namespace gi::test {

/// Images of a CIFAR-10 file of records: normalised pixels, [1,n,3,32,32], and labels.
struct Cifar {
  Tensor images;
  std::vector<int> labels;
};

/// `Real` is the arithmetic of the normalisation: double, or float as most training programs have it.
template <class Real>
Cifar read_cifar(const std::filesystem::path& path, std::span<const int> indices, const models::Normalization& norm) {
  constexpr int kPixels = 3 * 32 * 32;
  std::ifstream file(path, std::ios::binary);
  std::vector<double> pixels;
  Cifar out;
  for (const int i : indices) {
    std::vector<char> record(1 + kPixels);
    file.seekg(std::streamoff{i} * (1 + kPixels));
    if (!file.read(record.data(), std::ssize(record))) throw std::runtime_error("cannot read " + path.string());
    out.labels.push_back(record[0]);
    for (int k = 0; k < kPixels; ++k) {
      const Real pixel = static_cast<Real>(static_cast<unsigned char>(record[1 + k])) / 255;
      const Real mean = static_cast<Real>(norm.mean[k / 1024]), std = static_cast<Real>(norm.std[k / 1024]);
      pixels.push_back((pixel - mean) / std);
    }
  }
  out.images = Tensor::from({1, std::ssize(out.labels), 3, 32, 32}, pixels);
  return out;
}

/// One-hot rows [1,n,classes].
inline Tensor one_hot(std::span<const int> labels, int classes) {
  Tensor t({1, std::ssize(labels), classes}, DType::f64);
  for (std::size_t i = 0; i < labels.size(); ++i) t.as<double>()[i * classes + labels[i]] = 1;
  return t;
}

}  // namespace gi::test
