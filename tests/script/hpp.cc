// SPDX-License-Identifier: MIT
// script/hpp.cc - <vvm.hpp>: containers on the paged heap, several times the
// budget; built as C++11 and C++17 by tests/hpp.sh. Exit status 77: this
// machine cannot run any space.
#include <vvm.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#define CHECK(x)                                                       \
	do {                                                           \
		if (!(x)) {                                            \
			std::fprintf(stderr, "%s:%d: %s\n", __FILE__,  \
				     __LINE__, #x);                    \
			std::exit(1);                                  \
		}                                                      \
	} while (0)

static struct vvm_options small_budget()
{
	struct vvm_options o;

	CHECK(vvm_options_init(&o) == 0);
	o.resident_bytes = 512 << 10;
	o.stat_segment = 0;
	return o;
}

static uint64_t live_objects(const libvvm::heap &heap)
{
	struct vvm_heap_stats st;

	CHECK(vvm_heap_stats(heap.get(), &st) == 0);
	return st.live_objects;
}

template <typename K, typename V>
using paged_map = std::map<K, V, std::less<K>,
			   libvvm::allocator<std::pair<const K, V>>>;

static void containers(const libvvm::heap &heap)
{
	paged_map<int, int> map(heap);
	std::vector<uint64_t, libvvm::allocator<uint64_t>> vector(heap);
	std::list<int, libvvm::allocator<int>> list(heap);
	std::deque<int, libvvm::allocator<int>> deque(heap);
	const int n = 10000;
	uint64_t sum = 0;

	for (int i = 0; i < n; i++) {
		map[(int)(i * 7919ll % n)] = i;
		vector.push_back((uint64_t)i);
		list.push_back(i);
		deque.push_front(i);
	}
	for (auto &entry : map)
		CHECK((int)(entry.second * 7919ll % n) == entry.first);
	for (auto v : vector)
		sum += v;
	CHECK(sum == (uint64_t)n * (n - 1) / 2);
	for (auto i : list)
		sum -= (uint64_t)i;
	CHECK(sum == 0);
	CHECK(deque.front() == n - 1 && deque.back() == 0);
}

static void semantics(const libvvm::heap &heap, const libvvm::heap &other)
{
	libvvm::allocator<int> a(heap), b(heap), c(other);
	libvvm::allocator<double> d(a);
	std::vector<int, libvvm::allocator<int>> from({1, 2, 3}, a), to(c);

	CHECK(a == b && a != c && d == a);
	to = from; // takes the allocator along
	CHECK(to.get_allocator() == a && to.size() == 3);
	to = std::vector<int, libvvm::allocator<int>>({4}, c);
	CHECK(to.get_allocator() == c && to[0] == 4);
	std::swap(from, to);
	CHECK(from[0] == 4 && to[2] == 3);
}

struct alignas(256) wide {
	char bytes[256];
};

static void limits(const libvvm::heap &heap)
{
	libvvm::allocator<wide> a(heap);
	bool thrown = false;
	wide *w = a.allocate(3);

	CHECK((uintptr_t)w % 256 == 0);
	a.deallocate(w, 3);
	try {
		a.allocate((size_t)-1 / 256);
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	CHECK(thrown);
	thrown = false;
	try {
		a.allocate((size_t)-1);
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	CHECK(thrown);
}

static void errors()
{
	struct vvm_options o = small_budget();
	bool thrown = false;

	o.resident_bytes = 1;
	try {
		libvvm::space space(&o);
	} catch (const std::system_error &e) {
		thrown = true;
		CHECK(e.code() == std::errc::invalid_argument);
		CHECK(std::strstr(e.what(), "vvm_open"));
		CHECK(e.code().category().name() == std::string("vvm"));
	}
	CHECK(thrown);
	CHECK(libvvm::error_category().message(VVM_EPOISON) ==
	      vvm_strerror(-VVM_EPOISON));
}

// What one thread allocates another frees.
static void threads(const libvvm::heap &heap)
{
	using string = std::basic_string<char, std::char_traits<char>,
					 libvvm::allocator<char>>;
	std::vector<string, libvvm::allocator<string>> words(heap);

	std::thread fill([&] {
		for (int i = 0; i < 5000; i++)
			words.push_back(string(100, (char)i, heap));
	});
	fill.join();
	std::thread drop([&] {
		for (int i = 0; i < 5000; i++)
			CHECK(words[(size_t)i] == string(100, (char)i, heap));
		words.clear();
		words.shrink_to_fit();
	});
	drop.join();
}

#ifdef VVM_HPP_PMR
static void pmr(const libvvm::heap &heap, const libvvm::heap &other)
{
	libvvm::heap_resource resource(heap), same(heap), foreign(other);
	std::pmr::unordered_map<int, std::pmr::string> map(&resource);
	std::pmr::polymorphic_allocator<wide> wides(&resource);

	CHECK(resource == same && resource != foreign);
	CHECK(resource != *std::pmr::new_delete_resource());
	for (int i = 0; i < 8000; i++)
		map.emplace(i, std::pmr::string(100, (char)i));
	CHECK(map[77].get_allocator().resource() == &resource);
	CHECK(map[7999] == std::pmr::string(100, (char)7999));
	wide *w = wides.allocate(1);
	CHECK((uintptr_t)w % 256 == 0);
	wides.deallocate(w, 1);
	std::pmr::monotonic_buffer_resource pool(&resource);
	std::pmr::vector<int> numbers(20000, 7, &pool);
	CHECK(numbers[19999] == 7);
}
#endif

int main()
{
	struct vvm_probe probe;

	if (vvm_probe(&probe) == 0 && !probe.usable) {
		std::printf("skipped: %s\n", probe.reason);
		return 77;
	}
	struct vvm_options o = small_budget();
	libvvm::space space(&o);
	libvvm::heap heap(space), other(space.get());

	containers(heap);
	semantics(heap, other);
	limits(heap);
	errors();
	threads(heap);
#ifdef VVM_HPP_PMR
	pmr(heap, other);
	std::puts("with std::pmr");
#endif
	CHECK(live_objects(heap) == 0 && live_objects(other) == 0);
	return 0;
}
