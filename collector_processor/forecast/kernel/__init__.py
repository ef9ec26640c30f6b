"""The compiled inner loop: one pass over a series, then its exact maximum a posteriori (MAP) estimate.

With y centred, divided by max|y| and written z = Z w + noise, Prophet's MAP minimises
    n ln s + |z - Z w|^2 / (2 s^2) + sum(ridge w^2) / 2 + sum|delta| / tau + 2 s^2.
Given s this is a lasso in delta after a ridge elimination of slope, offset and seasonality, solved exactly by an
active set; given w the best s^2 has a closed form F. The two meet where F(s^2) = s^2, found by a bracketed Newton
iteration in ln s^2. After one pass over the points only the moments Z'Z and Z'z are needed.

Why numba and not NumPy: a gap gives every series a Gram matrix of its own, and NumPy's batched solvers then pay for
41 x 41 systems in full at every step. For one core of a Xeon, a week of five-minute points, 5 % missing: 45 us a
series here with everything, against 2.5 ms for the solve alone in batched NumPy (prophet-batch 0.1.2, moments given).
The robust mask needs two medians a pass, which NumPy sorts for. The price: 190 MB installed (numba 17, llvmlite 172),
18-24 s of CPU to compile on the very first fit, about 1.1 s from the cache at every later start. Both come as wheels
for the usual platforms, so a checkout installs without a compiler, as it would not with an extension in C.

Written for numba's subset of Python. Importing `fit` imports numba, so that is done when a first batch is fitted.
"""
