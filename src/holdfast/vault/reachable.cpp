#include "holdfast/vault/reachable.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "holdfast/os/host.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {

using format::BlobType;

Reachable::Reachable(const BlobIndex& index)
    : index_(&index),
      size_(index.blob_count()),
      bits_(std::make_unique<std::atomic<std::uint64_t>[]>((size_ + 63) / 64)) {}

bool Reachable::contains(BlobType type, const Id& id) const {
    const auto number = index_->number(type, id);
    return number && contains(*number);
}

bool Reachable::mark(std::uint32_t number) {
    HF_ASSERT(number < size_);
    const std::uint64_t bit = std::uint64_t(1) << (number % 64);
    return (bits_[number / 64].fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
}

void Reachable::for_each(const std::function<void(const BlobPlace&)>& each) const {
    for (std::uint32_t number = 0; number < size_; ++number) {
        if (!contains(number)) continue;
        const BlobIndex::Numbered found = index_->at(number);
        each({index_->pack_id(found.pack), found.blob});
    }
}

// The walk: a stack of trees that nobody has read yet, and threads that take from it and put what they find back. Deepest
// first, so that the stack holds the siblings along a few paths and not a whole level.
class Marker {
public:
    Marker(const Repository& repository, const MarkOptions& options)
        : repository_(repository), options_(options), reachable_(repository.state().index) {}

    Result<Reachable> run(std::span<const Id> roots) {
        for (const Id& root : roots) found_tree(root, Id{});
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < (options_.threads ? options_.threads : reader_count(repository_.backend())); ++i)
            threads.emplace_back([this] { work(); });
        for (std::thread& thread : threads) thread.join();
        if (error_) return fail(*std::move(error_));
        HF_DO(repository_.state().index.status());
        std::sort(reachable_.missing_.begin(), reachable_.missing_.end(),
                  [](const auto& a, const auto& b) { return std::tie(a.type, a.id) < std::tie(b.type, b.id); });
        const auto same = std::unique(reachable_.missing_.begin(), reachable_.missing_.end(),
                                      [](const auto& a, const auto& b) { return a.type == b.type && a.id == b.id; });
        reachable_.missing_.erase(same, reachable_.missing_.end());
        return std::move(reachable_);
    }

private:
    // What one tree named; kept for the next one, so that the common case allocates nothing.
    struct Found {
        std::vector<std::uint32_t> trees;
        std::vector<Reachable::Missing> missing;
        std::uint64_t data = 0;
    };

    void found_tree(const Id& id, const Id& needed_by) {
        Found found;
        look_up(BlobType::tree, id, needed_by, found);
        take_over(found);
    }

    void look_up(BlobType type, const Id& id, const Id& needed_by, Found& found) {
        const auto number = repository_.state().index.number(type, id);
        if (!number || *number >= reachable_.size_)
            found.missing.push_back({type, id, needed_by});
        else if (reachable_.mark(*number)) {
            if (type == BlobType::tree)
                found.trees.push_back(*number);
            else
                ++found.data;
        }
    }

    void take_over(Found& found) {
        waiting_.insert(waiting_.end(), found.trees.begin(), found.trees.end());
        reachable_.missing_.insert(reachable_.missing_.end(), found.missing.begin(), found.missing.end());
        reachable_.data_ += found.data;
        found.trees.clear();
        found.missing.clear();
        found.data = 0;
    }

    void work() {
        Found found;
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [&] { return error_ || !waiting_.empty() || busy_ == 0; });
            if (error_ || waiting_.empty()) return;
            const std::uint32_t number = waiting_.back();
            waiting_.pop_back();
            ++busy_;
            lock.unlock();
            const Id id = repository_.state().index.at(number).blob.id;
            auto status = read(id, found);
            lock.lock();
            --busy_;
            take_over(found);
            if (!status && options_.unreadable && status.error().code != ErrorCode::cancelled)
                options_.unreadable(id, status.error());
            else if (!status && !error_)
                error_ = std::move(status).error();
            ++reachable_.trees_;
            if (options_.progress) options_.progress(reachable_.trees_);
            if (error_ || waiting_.size() > 1 || busy_ == 0) changed_.notify_all();
        }
    }

    Status read(const Id& id, Found& found) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while looking for what is needed");
        HF_TRY(const format::Tree tree, repository_.read_tree(id));
        for (const format::Node& node : tree.nodes) {
            if (node.type == format::NodeType::dir) look_up(BlobType::tree, node.subtree, id, found);
            if (node.type == format::NodeType::file)
                for (const Id& blob : node.content) look_up(BlobType::data, blob, id, found);
        }
        if (options_.visit) return options_.visit(id, tree);
        return {};
    }

    const Repository& repository_;
    const MarkOptions& options_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::uint32_t> waiting_;    // numbers of trees
    unsigned busy_ = 0;
    std::optional<Error> error_;
    Reachable reachable_;
};

Result<Reachable> find_reachable(const Repository& repository, std::span<const Id> roots, const MarkOptions& options) {
    return Marker(repository, options).run(roots);
}

}    // namespace holdfast::vault
