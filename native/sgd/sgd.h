/* sgd: trains linear models side by side and tells of every block of steps. Used by the exercise ct-callback. */
#ifndef SGD_H
#define SGD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sgd_sweep sgd_sweep; /* opaque */

/* Called by the thread of a model after each block of steps, for several models at the same time.
 *   user    what sgd_add was given for this model
 *   first   the number of the first step of the block
 *   losses  the losses of the steps first .. first + count - 1; BORROWED: overwritten once the function has returned
 * Return 0 to go on; anything else ends this model.
 * A model's last call has count 0 and losses NULL: after it, `user` is not used again. What it returns is ignored. */
typedef int (*sgd_on_block)(void *user, uint64_t first, const float *losses, size_t count);

/* A sweep without models, or NULL when count, dim or block is 0. `rows` is count x dim, row by row; rows and targets are
 * BORROWED and on_block is kept, all three until sgd_free returns. `block` is how many steps a call tells of. */
sgd_sweep *sgd_new(const float *rows, const float *targets, size_t count, size_t dim, size_t block,
                   sgd_on_block on_block);

/* One more model, with its learning rate. Returns its number (0, 1, ...), or -1 once the sweep has been started. */
long sgd_add(sgd_sweep *sweep, double rate, void *user);

/* Start a thread for each model and return. Steps are numbered from `first` on and a model does at most `steps` of them;
 * step n looks at row n % count. Returns 0, or -1 when the sweep was started before or a thread could not be made. */
int sgd_start(sgd_sweep *sweep, uint64_t first, uint64_t steps);

/* Ask all models to end after the block that they are in. From any thread, a callback's too; does not wait. */
void sgd_stop(sgd_sweep *sweep);

/* Wait until all models have ended, last calls included. Returns 0, or -1 at once when called by a model's own thread,
 * which would wait for itself. */
int sgd_wait(sgd_sweep *sweep);

/* How many steps a model has done. */
uint64_t sgd_steps(const sgd_sweep *sweep, size_t model);

/* Stop, wait, free. Returns 0, or -1 and does nothing when called by a model's own thread. NULL is ignored. The second
 * free of a sweep is counted (sgd_bad_frees), not done. */
int sgd_free(sgd_sweep *sweep);

/* For tests: sweeps that are alive, threads that run, frees of something that was not alive. */
long sgd_live(void);
long sgd_running(void);
long sgd_bad_frees(void);

#ifdef __cplusplus
}
#endif
#endif
