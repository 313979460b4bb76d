#include "engine/device/cuda_device.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <array>

#include "engine/core/error.h"
#include "kernels/api/library_error.h"

namespace gi {
namespace {

void require(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or the next call would report it again
  throw DeviceError(fmt::format("CUDA: {}: {}", what, cudaGetErrorString(error)));
}

struct DestroyGraph {
  void operator()(cudaGraphExec_t graph) const { cudaGraphExecDestroy(graph); }
};

class CudaDevice : public Device {
 public:
  explicit CudaDevice(bool debug) : debug_(debug) {
    require(cudaSetDevice(0), "the device cannot be used");
    require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "no stream");
    for (cudaEvent_t& event : events_) require(cudaEventCreate(&event), "no event");
  }
  ~CudaDevice() override {
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
    cudaStreamDestroy(stream_);
  }

  std::string name() const override { return find_cuda_device(); }
  std::size_t free_memory() const override {
    std::size_t left = 0, all = 0;
    require(cudaMemGetInfo(&left, &all), "asking for free memory");
    return left;
  }
  Hardware hardware() const override {
    int processors = 0, cache_bytes = 0;
    require(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0), "asking for the multiprocessors");
    require(cudaDeviceGetAttribute(&cache_bytes, cudaDevAttrL2CacheSize, 0), "asking for the cache");
    return {processors, static_cast<std::size_t>(cache_bytes)};
  }

  std::span<const kernels::Kernel> kernels() const override { return kernels::cuda_kernels(); }
  void* stream() const override { return stream_; }

  std::byte* allocate(std::size_t bytes) override {
    void* memory = nullptr;
    if (const cudaError_t error = cudaMalloc(&memory, bytes); error != cudaSuccess) {
      cudaGetLastError();
      throw DeviceError(
          fmt::format("CUDA: no memory for {:.1f} MiB: {}", static_cast<double>(bytes) / (1 << 20), cudaGetErrorString(error)));
    }
    return static_cast<std::byte*>(memory);
  }
  void release(std::byte* memory) noexcept override { cudaFree(memory); }

  void upload(std::byte* to, const std::byte* from, std::size_t bytes) override {
    require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "copying to the device");
    synchronize();
  }
  void download(std::byte* to, const std::byte* from, std::size_t bytes) override {
    require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "copying from the device");
    synchronize();
  }
  void copy(std::byte* to, const std::byte* from, std::size_t bytes) override {
    require(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_), "copying on the device");
  }

  void check() override {
    require(cudaPeekAtLastError(), "launch");
    if (const std::string error = kernels::take_library_error(); !error.empty()) throw DeviceError(error);
    if (debug_) synchronize();
  }
  void synchronize() override { require(cudaStreamSynchronize(stream_), "what was enqueued failed"); }

  std::function<void()> recorded(const std::function<void()>& work) override {
    if (debug_) return work;
    require(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "recording a graph");
    cudaGraph_t graph = nullptr;
    try {
      work();
    } catch (...) {
      cudaStreamEndCapture(stream_, &graph);
      cudaGetLastError();  // as in require()
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    require(cudaStreamEndCapture(stream_, &graph), "recording a graph");
    cudaGraphExec_t made = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&made, graph, 0);
    cudaGraphDestroy(graph);
    require(error, "making a graph of what was recorded");
    return [this, replay = std::shared_ptr<CUgraphExec_st>(made, DestroyGraph())] {
      require(cudaGraphLaunch(replay.get(), stream_), "launching a graph");
    };
  }

  double seconds_of(const std::function<void()>& work) override {
    require(cudaEventRecord(events_[0], stream_), "recording an event");
    work();
    require(cudaEventRecord(events_[1], stream_), "recording an event");
    synchronize();
    float milliseconds = 0;
    require(cudaEventElapsedTime(&milliseconds, events_[0], events_[1]), "reading events");
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  const bool debug_;
  cudaStream_t stream_ = nullptr;
  std::array<cudaEvent_t, 2> events_{};
};

}  // namespace

std::string find_cuda_device() {
  int count = 0;
  cudaDeviceProp found{};
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count == 0) error = cudaErrorNoDevice;
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&found, 0);
  if (error != cudaSuccess) {
    cudaGetLastError();
    throw DeviceError(fmt::format("no CUDA device: {}", cudaGetErrorString(error)));
  }
  return found.name;
}

std::unique_ptr<Device> open_cuda_device(bool debug) {
  find_cuda_device();
  return std::make_unique<CudaDevice>(debug);
}

}  // namespace gi
