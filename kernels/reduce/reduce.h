// Sums and inner products. No attributes: the shapes say everything.
//
//   sum_to(x)    x [T,...] -> y of the same rank whose extents are x's or 1, summing over those that became 1; or y [T], the
//                sum of all of a trial (f64). Summing over the trial axis itself (y's first extent 1, x's T) is for
//                gradients of shared leaves: y is then shared, with lanes == 1 where x has packs. x dense from axis 1 on.
//   dot(a, b)    [T]: sum of a*b over all of a trial, f64. Operands of equal shape, dense from axis 1 on; either may be
//                shared by the trials. A kernel may take more pairs of operands, each of a shape of its own, and give the sum of
//                their products, or, with as many outputs as pairs, each.
//   broadcast_to(x)  the adjoint of sum_to: a view wherever kernels accept strides; this reference copies.
#pragma once
