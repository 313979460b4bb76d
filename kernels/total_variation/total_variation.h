// Anisotropic total variation of images [T,N,C,H,W], as Geiping et al. 2020 use it: each mean over its own grid.
//
//   total_variation(x)       [T]: mean |x[..,h+1,w] - x[..,h,w]| + mean |x[..,h,w+1] - x[..,h,w]|, over n, c and positions; f64
//   total_variation_grad(x)  [T,N,C,H,W]: its derivative by x, with sign(0) = 0; piecewise constant, so its own is zero
//
// An axis of extent 1 contributes zero. Inputs dense from axis 1 on. No attributes.
#pragma once
