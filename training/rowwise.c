/* What stands between the matrix products of a layer, forward and backward: a residual's sum with its LayerNorm, and GELU,
   each in one pass over memory and with its rounding to bf16. See training/rowwise.py. */

#include "kernel.h"

/* 16 numbers of a row from `at` on. */
INLINE vec read_vec(const Matrix *m, int64_t at) { return m->bf16 ? load_bf16((const uint16_t *)m->data + at) : load((const float *)m->data + at); }
INLINE void write_vec(const Matrix *m, int64_t at, vec x) {
    if (m->bf16) store_bf16((uint16_t *)m->data + at, x);
    else store((float *)m->data + at, x);
}

INLINE vec at_least(float least, vec x) { return choose(x < all(least), all(least), x); }

/* Of |x| <= `most`, and beyond as there: 1/2 + x times a polynomial of x^2. */
INLINE vec odd_about_half(vec x, float most, const float *p, int terms) {
    x = at_least(-most, x);
    x = choose(x > all(most), all(most), x);
    vec square = x * x, sum = all(p[terms - 1]);
    for (int k = terms - 2; k >= 0; k--) sum = sum * square + all(p[k]);
    return sum * x + all(0.5f);
}

#define FLAT 4.25f /* gelu(x) is nearly zero below -FLAT, and x above FLAT */

/* The normal distribution's function Phi(x), to 2e-5, and Phi(x) + x Phi'(x), the slope of gelu(x) = x Phi(x), to 2e-4: a
   tenth of what bf16 rounds off. Both are odd about a half; least maxima of the error, in float32. */
INLINE vec normal(vec x) {
    static const float p[] = {3.989338901e-01f, -6.645352233e-02f, 9.925603461e-03f, -1.158377023e-03f, 1.056266474e-04f, -7.377937524e-06f, 3.770288823e-07f, -1.309786639e-08f, 2.732390288e-10f, -2.562063297e-12f};
    return odd_about_half(x, FLAT, p, 10);
}
INLINE vec gelu_slope(vec x) {
    static const float p[] = {7.978225080e-01f, -2.656680718e-01f, 5.942923863e-02f, -9.228595473e-03f, 1.054217802e-03f, -8.997450706e-05f, 5.655382239e-06f, -2.523891355e-07f, 7.513114000e-09f, -1.329845237e-10f, 1.054100400e-12f};
    return odd_about_half(x, 4.5f, p, 11);
}

/* y = gelu(x), and made = grad * gelu'(x): `count` numbers in bf16, a multiple of LANES. */
void gelu_forward(const uint16_t *x, uint16_t *y, int64_t count, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t at = 0; at < count; at += LANES) {
        vec in = at_least(-FLAT, load_bf16(x + at));
        store_bf16(y + at, in * normal(in));
    }
}

void gelu_backward(const uint16_t *x, const uint16_t *grad, uint16_t *made, int64_t count, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t at = 0; at < count; at += LANES) store_bf16(made + at, load_bf16(grad + at) * gelu_slope(load_bf16(x + at)));
}

/* sum = x + y in float32, and its LayerNorm in one or two copies, of which either may be null (no data), [rows, width];
   width a multiple of LANES. scale [rows] is 1 / standard deviation, centre [rows] the mean. */
void norm_forward(const Matrix *x, const Matrix *y, const float *weight, const float *bias, const Matrix *sum, const Matrix *normed, const Matrix *again, float *centre, float *scale, int64_t rows, int64_t width, float epsilon, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        vec total = {}, squares = {};
        float *at = (float *)sum->data + r * sum->stride;
        for (int64_t c = 0; c < width; c += LANES) {
            vec s = read_vec(x, r * x->stride + c) + read_vec(y, r * y->stride + c);
            store(at + c, s);
            total += s;
        }
        float mean = added(total) / width;
        for (int64_t c = 0; c < width; c += LANES) {
            vec s = load(at + c) - all(mean);
            squares += s * s;
        }
        float inverse = 1.0f / sqrtf(added(squares) / width + epsilon);
        centre[r] = mean, scale[r] = inverse;
        for (int64_t c = 0; c < width; c += LANES) {
            vec n = (load(at + c) - all(mean)) * all(inverse) * load(weight + c) + load(bias + c);
            if (normed->data) write_vec(normed, r * normed->stride + c, n);
            if (again->data) write_vec(again, r * again->stride + c, n);
        }
    }
}

/* Gradients x_grad and y_grad, both the same, from those of sum and of both copies of normed (each null if there is none);
   and by blocks of `size` rows what adds up to those of weight and bias, [blocks, width] each. */
void norm_backward(const Matrix *sum, const float *weight, const float *centre, const float *scale, const Matrix *of_sum, const Matrix *of_normed, const Matrix *of_again, const Matrix *x_grad, const Matrix *y_grad, float *weight_grad, float *bias_grad, int64_t rows, int64_t width, int64_t size, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t block = 0; block < (rows + size - 1) / size; block++) {
        float *to_weight = weight_grad + block * width, *to_bias = bias_grad + block * width;
        memset(to_weight, 0, width * sizeof(float));
        memset(to_bias, 0, width * sizeof(float));
        for (int64_t r = block * size; r < rows && r < (block + 1) * size; r++) {
            const float *at = (const float *)sum->data + r * sum->stride;
            float *slopes = (float *)x_grad->data + r * x_grad->stride;
            vec total = {}, along = {};
            for (int64_t c = 0; c < width; c += LANES) {
                vec g = {}, n = (load(at + c) - all(centre[r])) * all(scale[r]);
                if (of_normed->data) g += read_vec(of_normed, r * of_normed->stride + c);
                if (of_again->data) g += read_vec(of_again, r * of_again->stride + c);
                store(to_weight + c, load(to_weight + c) + g * n);
                store(to_bias + c, load(to_bias + c) + g);
                g *= load(weight + c);
                store(slopes + c, g);
                total += g, along += g * n;
            }
            vec mean = all(added(total) / width), slope = all(added(along) / width);
            for (int64_t c = 0; c < width; c += LANES) {
                vec n = (load(at + c) - all(centre[r])) * all(scale[r]);
                vec g = (load(slopes + c) - mean - n * slope) * all(scale[r]);
                if (of_sum->data) g += read_vec(of_sum, r * of_sum->stride + c);
                store(slopes + c, g);
                if (y_grad->data) write_vec(y_grad, r * y_grad->stride + c, g);
            }
        }
    }
}

/* share[r], the softmax of logits[r] + bias at target[r], and totals[r], the log of what its exponentials add up to; logits
   [rows, width]. */
void pick_forward(const Matrix *logits, const float *bias, const int64_t *target, float *share, float *totals, int64_t rows, int64_t width, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        vec tops = all(-INFINITY), sums = {};
        for (int64_t c = 0; c < width; c += LANES) {
            vec x = read_vec(logits, r * logits->stride + c) + load(bias + c);
            tops = choose(x > tops, x, tops);
        }
        float top = -INFINITY;
        for (int k = 0; k < LANES; k++) top = tops[k] > top ? tops[k] : top;
        for (int64_t c = 0; c < width; c += LANES) sums += exponential(read_vec(logits, r * logits->stride + c) + load(bias + c) - all(top));
        totals[r] = top + logf(added(sums));
        int64_t block = target[r] / LANES * LANES;
        vec x = read_vec(logits, r * logits->stride + block) + load(bias + block);
        share[r] = expf(x[target[r] - block] - totals[r]);
    }
}

/* Gradients of logits from those of share, and by blocks of `size` rows what adds up to that of bias, [blocks, width]. */
void pick_backward(const Matrix *logits, const float *bias, const int64_t *target, const float *share, const float *totals, const float *grad, const Matrix *made, float *bias_grad, int64_t rows, int64_t width, int64_t size, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t block = 0; block < (rows + size - 1) / size; block++) {
        float *to_bias = bias_grad + block * width;
        memset(to_bias, 0, width * sizeof(float));
        for (int64_t r = block * size; r < rows && r < (block + 1) * size; r++) {
            float slope = grad[r] * share[r];
            for (int64_t c = 0; c < width; c += LANES) {
                vec x = exponential(read_vec(logits, r * logits->stride + c) + load(bias + c) - all(totals[r])) * all(-slope);
                int64_t k = target[r] - c;
                if (k >= 0 && k < LANES) x[k] += slope;
                store(to_bias + c, load(to_bias + c) + x);
                write_vec(made, r * made->stride + c, x);
            }
        }
    }
}

/* Rotary embedding: the two halves (x, y) of each head of d numbers become (x cos - y sin, y cos + x sin), sin times
   `sign`; from and to [rows, heads * d], angles [positions, d], cosines and behind them sines; d a multiple of 2 LANES. */
void rotate_heads(const Matrix *from, const Matrix *to, const float *angles, const int64_t *position, int64_t rows, int64_t heads, int64_t d, float sign, int64_t threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *cosines = angles + position[r] * d, *sines = cosines + d / 2;
        for (int64_t h = 0; h < heads; h++)
            for (int64_t c = 0; c < d / 2; c += LANES) {
                int64_t at = h * d + c;
                vec x = read_vec(from, r * from->stride + at), y = read_vec(from, r * from->stride + at + d / 2);
                vec cosine = load(cosines + c), sine = load(sines + c) * all(sign);
                write_vec(to, r * to->stride + at, x * cosine - y * sine);
                write_vec(to, r * to->stride + at + d / 2, y * cosine + x * sine);
            }
    }
}
