/* Precompiled for the contrast: what a file that includes torch/extension.h costs at best. */
#include <torch/extension.h>
