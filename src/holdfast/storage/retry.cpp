#include "holdfast/storage/retry.hpp"

#include <fmt/core.h>

#include <set>
#include <vector>

#include "holdfast/base/log.hpp"
#include "holdfast/format/crypto.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::storage {
namespace {

double kernel_chance() {
    std::array<std::byte, 4> bytes;
    os::random_bytes(bytes);
    return load_le<std::uint32_t>(bytes.data()) / 4294967296.0;
}

class RetryingBackend final : public Backend {
public:
    RetryingBackend(std::unique_ptr<Backend> below, RetryOptions options, Clock& clock)
        : below_(std::move(below)), options_(std::move(options)), clock_(clock) {
        if (!options_.chance) options_.chance = kernel_chance;
        if (!options_.counters) options_.counters = std::make_shared<RetryCounters>();
    }

    Status create_layout() override {
        return attempts<Status>("making the repository's folders", [&](unsigned) { return below_->create_layout(); });
    }
    Result<std::unique_ptr<Upload>> start(FileKind kind) override;
    Status put(const FileName& name, ByteView bytes) override {
        return attempts<Status>("writing " + relative_path(name), [&](unsigned failures) -> Status {
            if (failures > 0) {
                HF_TRY(const bool there, is_there(name, bytes.size()));
                if (there) return {};
            }
            auto status = below_->put(name, bytes);
            // Only for config is another file under our name another content; and after a lost answer it may be ours.
            if (!status && status.error().code == ErrorCode::exists && failures > 0) {
                HF_TRY(const Bytes found, below_->read(name));
                if (std::equal(found.begin(), found.end(), bytes.begin(), bytes.end())) return {};
            }
            return status;
        });
    }
    Result<Bytes> read(const FileName& name) override {
        bool read_again = false;
        return attempts<Result<Bytes>>("reading " + relative_path(name), [&](unsigned) -> Result<Bytes> {
            HF_TRY(Bytes bytes, below_->read(name));
            if (name.kind == FileKind::config || read_again || format::sha256(bytes) == name.id) return bytes;
            read_again = true;
            log_warning("a file came back with content that is not its own; reading it once more",
                        {{"file", relative_path(name)}});
            ++options_.counters->retries;
            return below_->read(name);
        });
    }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override {
        return attempts<Status>("reading " + relative_path(name),
                                [&](unsigned) { return below_->read_at(name, offset, to); });
    }
    Result<std::uint64_t> size(const FileName& name) override {
        return attempts<Result<std::uint64_t>>("looking at " + relative_path(name),
                                               [&](unsigned) { return below_->size(name); });
    }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override {
        // Told only once it is whole: what a cut list has told already would be told twice.
        std::vector<std::pair<Id, std::uint64_t>> whole;
        HF_DO(attempts<Status>("listing", [&](unsigned) {
            whole.clear();
            return below_->list(kind, [&](const Id& id, std::uint64_t size) { whole.emplace_back(id, size); });
        }));
        for (const auto& [id, size] : whole) found(id, size);
        return {};
    }
    Status remove(const FileName& name) override {
        return attempts<Status>("removing " + relative_path(name), [&](unsigned failures) -> Status {
            auto status = below_->remove(name);
            if (!status && failures > 0 && status.error().code == ErrorCode::not_found) return {};
            return status;
        });
    }
    Status remove_many(std::span<const FileName> names, const std::function<void(const FileName&)>& gone) override {
        if (names.empty()) return {};
        std::vector<FileName> left(names.begin(), names.end());
        return attempts<Status>(fmt::format("removing {} files ({} …)", names.size(), relative_path(names.front())),
                                [&](unsigned) {
                                    std::set<FileName> done;
                                    auto status = below_->remove_many(left, [&](const FileName& name) {
                                        done.insert(name);
                                        gone(name);
                                    });
                                    std::erase_if(left, [&](const FileName& name) { return done.contains(name); });
                                    return status;
                                });
    }
    std::size_t removes_at_once() const override { return below_->removes_at_once(); }
    Status sync() override {
        return attempts<Status>("bringing names to the disk", [&](unsigned) { return below_->sync(); });
    }
    Result<std::uint64_t> remove_leftovers(Timestamp before) override {
        return attempts<Result<std::uint64_t>>("removing what killed uploads left",
                                               [&](unsigned) { return below_->remove_leftovers(before); });
    }
    bool lists_at_once() const override { return below_->lists_at_once(); }
    unsigned connections() const override { return below_->connections(); }
    std::string location() const override { return below_->location(); }

private:
    class RetryingUpload;

    Result<bool> is_there(const FileName& name, std::uint64_t size) {
        if (name.kind == FileKind::config) return false;    // its content is not in its name: put() must decide
        const auto found = below_->size(name);
        if (found) return *found == size;
        if (found.error().code == ErrorCode::not_found) return false;
        return fail(found.error());
    }

    // `attempt` is given how many attempts have failed before it.
    template <class Outcome, class Attempt>
    Outcome attempts(const std::string& what, const Attempt& attempt) {
        const Instant begin = clock_.instant();
        Instant first_failure{};
        for (unsigned failures = 0;;) {
            auto outcome = attempt(failures);
            if (outcome || !outcome.error().retryable()) {
                if (outcome || outcome.error().code != ErrorCode::cancelled) answered_ = true;
                return outcome;
            }
            Error error = std::move(outcome).error();
            const Instant now = clock_.instant();
            if (failures++ == 0) first_failure = now;
            const bool first_contact = options_.first_contact && !answered_;
            const auto wait =
                first_contact
                    ? policy::wait_before_retry(*options_.first_contact, failures, now - begin, options_.chance())
                    : policy::wait_before_retry(options_.rule, failures, now - first_failure, options_.chance());
            if (!wait) {
                ++options_.counters->gave_up;
                if (failures > 1) error.message += fmt::format(" (given up after {} attempts)", failures);
                if (first_contact)
                    error.hint = fmt::format(
                        "it did not answer even once in {:.0f} s: is this its address, does it run, does the network "
                        "lead "
                        "there? --first-contact-max SECONDS waits longer",
                        seconds(now - begin));
                return std::unexpected(std::move(error));
            }
            const std::uint64_t total = ++options_.counters->retries;
            log_warning(fmt::format("{} failed; trying again in {:.1f} s", what, seconds(*wait)),
                        {{"attempt", std::to_string(failures + 1)},
                         {"retries", std::to_string(total)},
                         {"storage", below_->location()},
                         {"error", error.message}});
            if (!sleep(*wait))
                return std::unexpected(
                    Error{ErrorCode::cancelled, fmt::format("{}: stopped while waiting to try again", what), {}});
        }
    }
    // In short pieces: a signal wakes only one of our threads.
    bool sleep(Duration wait) {
        const Instant until = clock_.instant() + wait;
        for (Instant now = clock_.instant(); now < until; now = clock_.instant()) {
            if (os::stop_requested()) return false;
            clock_.sleep(std::min<Duration>(until - now, std::chrono::milliseconds(500)));
        }
        return !os::stop_requested();
    }

    const std::unique_ptr<Backend> below_;
    RetryOptions options_;
    Clock& clock_;
    std::atomic<bool> answered_ = false;
};

class RetryingBackend::RetryingUpload final : public Upload {
public:
    RetryingUpload(RetryingBackend& owner, FileKind kind, std::unique_ptr<Upload> below)
        : owner_(owner), kind_(kind), below_(std::move(below)) {}

    Status write(ByteView bytes) override {
        size_ += bytes.size();
        return below_->write(bytes);
    }
    Status commit(const Id& id) override {
        const FileName name{kind_, id};
        return owner_.attempts<Status>("writing " + relative_path(name), [&](unsigned failures) -> Status {
            if (failures > 0) {
                HF_TRY(const bool there, owner_.is_there(name, size_));
                if (there) return {};
            }
            return below_->commit(id);
        });
    }

private:
    RetryingBackend& owner_;
    const FileKind kind_;
    const std::unique_ptr<Upload> below_;
    std::uint64_t size_ = 0;
};

Result<std::unique_ptr<Upload>> RetryingBackend::start(FileKind kind) {
    auto below =
        attempts<Result<std::unique_ptr<Upload>>>("starting an upload", [&](unsigned) { return below_->start(kind); });
    if (!below) return fail(std::move(below).error());
    return std::make_unique<RetryingUpload>(*this, kind, *std::move(below));
}

}    // namespace

policy::RetryRule first_contact_rule(Duration patience) {
    return {.first = std::chrono::seconds(1), .longest = std::chrono::seconds(8), .total = patience, .jitter = 0.5};
}

std::unique_ptr<Backend> retrying_backend(std::unique_ptr<Backend> below, RetryOptions options, Clock& clock) {
    return std::make_unique<RetryingBackend>(std::move(below), std::move(options), clock);
}

}    // namespace holdfast::storage
