/* SPDX-License-Identifier: MIT */
/*
 * support/vm.h - the space of the test, if it needs no more than one.
 */
#ifndef VVM_VM_H
#define VVM_VM_H

extern struct vvm *vm;

#endif
