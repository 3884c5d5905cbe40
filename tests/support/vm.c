/* SPDX-License-Identifier: MIT */
#include "support/vm.h"

struct vvm *vm;
