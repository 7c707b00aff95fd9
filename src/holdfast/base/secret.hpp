#pragma once
// A password or key in memory: never printed, never copied by accident, wiped when it goes.

#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}
    Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            wipe();
            text_ = std::move(other.text_);
            other.wipe();
        }
        return *this;
    }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { wipe(); }

    Secret clone() const { return Secret(text_); }
    bool empty() const { return text_.empty(); }
    /// The only way to the text; the name makes each use easy to find.
    const std::string& reveal() const { return text_; }

private:
    void wipe() noexcept;
    std::string text_;
};

}    // namespace holdfast
