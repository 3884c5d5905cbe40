/* SPDX-License-Identifier: MIT */
/*
 * vvm.hpp - <vvm.h> and <vvm_heap.h> for C++: owners, a std allocator and a
 * std::pmr::memory_resource. Header only; C++11, the memory resource C++17. The
 * namespace is libvvm, as vvm is the struct's name.
 *
 *	libvvm::space space;			// VVM_* from the environment
 *	libvvm::heap heap(space);
 *	libvvm::heap_resource resource(heap);
 *	std::pmr::vector<int> numbers(&resource);
 *	std::map<int, int, std::less<int>,
 *		 libvvm::allocator<std::pair<const int, int>>> map(heap);
 *
 * Errors: constructors throw std::system_error, whose code is the errno or
 * the VVM_E* of vvm.h, positive; allocation throws std::bad_alloc. Containers
 * must be gone before their heap, and the heap before its space: declare them
 * in that order. Threads: as vvm_heap.h says, all may allocate and free at
 * any time.
 */
#ifndef VVM_HPP
#define VVM_HPP

#include <vvm_heap.h>

#include <cstddef>
#include <limits>
#include <new>
#include <string>
#include <system_error>

#if __cplusplus >= 201703L && defined(__has_include)
#if __has_include(<memory_resource>)
#include <memory_resource>
#define VVM_HPP_PMR 1
#endif
#endif

namespace libvvm
{

/* Texts of vvm_strerror(), for std::system_error. */
class error_category_type : public std::error_category
{
public:
	const char *name() const noexcept override
	{
		return "vvm";
	}

	std::string message(int error) const override
	{
		return vvm_strerror(-error);
	}

	/* errnos compare equal to std::errc. */
	std::error_condition
	default_error_condition(int error) const noexcept override
	{
		if (error >= VVM_EUNMAPPED)
			return std::error_condition(error, *this);
		return std::error_condition(error, std::generic_category());
	}
};

inline const std::error_category &error_category()
{
	static const error_category_type category;

	return category;
}

/* Throws std::system_error for a negative result; else returns it. */
inline int check(int result, const char *what)
{
	if (result < 0)
		throw std::system_error(-result, error_category(), what);
	return result;
}

/* Owns a struct vvm. */
class space
{
public:
	/* options NULL: vvm_options_init()'s. */
	explicit space(const struct vvm_options *options = nullptr)
	{
		check(vvm_open(&vm_, options), "vvm_open");
	}

	~space()
	{
		vvm_close(vm_);
	}

	space(const space &) = delete;
	space &operator=(const space &) = delete;

	struct vvm *get() const noexcept
	{
		return vm_;
	}

private:
	struct vvm *vm_ = nullptr;
};

/* Owns a struct vvm_heap. */
class heap
{
public:
	explicit heap(struct vvm *vm,
		      const struct vvm_heap_options *options = nullptr)
	{
		check(vvm_heap_open(vm, options, &heap_), "vvm_heap_open");
	}

	explicit heap(const space &space,
		      const struct vvm_heap_options *options = nullptr)
		: heap(space.get(), options)
	{
	}

	~heap()
	{
		vvm_heap_close(heap_);
	}

	heap(const heap &) = delete;
	heap &operator=(const heap &) = delete;

	struct vvm_heap *get() const noexcept
	{
		return heap_;
	}

private:
	struct vvm_heap *heap_ = nullptr;
};

/* Aligned memory of the heap; throws std::bad_alloc. */
inline void *allocate(struct vvm_heap *heap, std::size_t bytes,
		      std::size_t align)
{
	void *ptr = align <= 16 ? vvm_malloc(heap, bytes)
				: vvm_aligned_alloc(heap, align, bytes);

	if (!ptr)
		throw std::bad_alloc();
	return ptr;
}

/*
 * A standard allocator. Copies share the heap and compare equal if they have
 * the same; containers take it along when they are assigned or swapped.
 */
template <typename T> class allocator
{
public:
	using value_type = T;
	using propagate_on_container_copy_assignment = std::true_type;
	using propagate_on_container_move_assignment = std::true_type;
	using propagate_on_container_swap = std::true_type;
	using is_always_equal = std::false_type;

	allocator(const heap &heap) noexcept : heap_(heap.get())
	{
	}

	explicit allocator(struct vvm_heap *heap) noexcept : heap_(heap)
	{
	}

	template <typename U>
	allocator(const allocator<U> &other) noexcept : heap_(other.get())
	{
	}

	T *allocate(std::size_t n)
	{
		if (n > std::numeric_limits<std::size_t>::max() / sizeof(T))
			throw std::bad_alloc();
		return static_cast<T *>(
			libvvm::allocate(heap_, n * sizeof(T), alignof(T)));
	}

	void deallocate(T *ptr, std::size_t) noexcept
	{
		vvm_free(heap_, ptr);
	}

	struct vvm_heap *get() const noexcept
	{
		return heap_;
	}

private:
	struct vvm_heap *heap_;
};

template <typename T, typename U>
bool operator==(const allocator<T> &a, const allocator<U> &b) noexcept
{
	return a.get() == b.get();
}

template <typename T, typename U>
bool operator!=(const allocator<T> &a, const allocator<U> &b) noexcept
{
	return a.get() != b.get();
}

#ifdef VVM_HPP_PMR

/* Resources on the same heap are equal: what one allocated another frees. */
class heap_resource : public std::pmr::memory_resource
{
public:
	explicit heap_resource(const heap &heap) noexcept : heap_(heap.get())
	{
	}

	explicit heap_resource(struct vvm_heap *heap) noexcept : heap_(heap)
	{
	}

	struct vvm_heap *get() const noexcept
	{
		return heap_;
	}

private:
	void *do_allocate(std::size_t bytes, std::size_t align) override
	{
		return libvvm::allocate(heap_, bytes, align);
	}

	void do_deallocate(void *ptr, std::size_t, std::size_t) override
	{
		vvm_free(heap_, ptr);
	}

	bool do_is_equal(
		const std::pmr::memory_resource &other) const noexcept override
	{
		auto *same = dynamic_cast<const heap_resource *>(&other);

		return same && same->heap_ == heap_;
	}

	struct vvm_heap *heap_;
};

#endif

} // namespace libvvm

#endif
