// Batch normalisation with the statistics of the batch: per trial and channel, over N, H and W (n elements).
// Scale and shift are elementwise and not part of these ops. Operands [T,N,C,H,W], dense from axis 1 on.
//
//   mu = mean(x), r = 1/sqrt(mean((x - mu)^2) + eps), xh = (x - mu) r
//
//   batchnorm(x)               xh                                                    (order 0)
//   batchnorm_grad(g, x)       r (g - mean(g) - xh mean(g xh))                       (order 1, linear and self-adjoint in g)
//   batchnorm_grad2(u, g, x)   d/dx <u, batchnorm_grad(g, x)>                        (order 2, bilinear and symmetric in u, g)
//                              = -r^2 [ xh (c - 3 a b) + b (u - mean u) + a (g - mean g) ]
//                              with a = mean(u xh), b = mean(g xh), c = mean((u - mean u)(g - mean g)).
//
// Variance is two-pass; sums accumulate in f64 or in enough partial sums to stay in the f32 precision class.
#pragma once

namespace gi::kernels {

struct BatchnormAttrs {
  double eps = 1e-5;
};

}  // namespace gi::kernels
