#include "holdfast/storage/xml.hpp"

#include <charconv>

namespace holdfast::storage {
namespace {

constexpr std::size_t k_depth_max = 32;
constexpr std::size_t k_elements_max = 200'000;

std::unexpected<Error> bad(const char* why) {
    return fail(ErrorCode::corrupt, std::string("an answer in XML cannot be read: ") + why);
}

void append_utf8(std::string& to, unsigned long c) {
    if (c < 0x80) {
        to += static_cast<char>(c);
    } else if (c < 0x800) {
        to += static_cast<char>(0xc0 | c >> 6);
        to += static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        to += static_cast<char>(0xe0 | c >> 12);
        to += static_cast<char>(0x80 | (c >> 6 & 0x3f));
        to += static_cast<char>(0x80 | (c & 0x3f));
    } else {
        to += static_cast<char>(0xf0 | c >> 18);
        to += static_cast<char>(0x80 | (c >> 12 & 0x3f));
        to += static_cast<char>(0x80 | (c >> 6 & 0x3f));
        to += static_cast<char>(0x80 | (c & 0x3f));
    }
}

class Parser {
public:
    explicit Parser(std::string_view text) : rest_(text) {}

    Result<XmlElement> document() {
        if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
        HF_DO(skip_misc());
        XmlElement root;
        HF_DO(element(root, 0));
        HF_DO(skip_misc());
        if (!rest_.empty()) return bad("something follows its root element");
        return root;
    }

private:
    static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
    void skip_blanks() {
        while (!rest_.empty() && is_blank(rest_.front())) rest_.remove_prefix(1);
    }
    // Past the next `end`.
    bool skip_past(std::string_view end) {
        const std::size_t at = rest_.find(end);
        if (at == std::string_view::npos) return false;
        rest_.remove_prefix(at + end.size());
        return true;
    }
    // Blanks, comments and processing instructions.
    Status skip_misc() {
        for (;;) {
            skip_blanks();
            if (rest_.starts_with("<?")) {
                if (!skip_past("?>")) return bad("it is cut off");
            } else if (rest_.starts_with("<!--")) {
                if (!skip_past("-->")) return bad("it is cut off");
            } else {
                return {};
            }
        }
    }

    Result<std::string> name() {
        const std::size_t end = rest_.find_first_of(" \t\r\n/>=<&\"'");
        if (end == std::string_view::npos || end == 0) return bad("an element has no name");
        std::string_view found = rest_.substr(0, end);
        rest_.remove_prefix(end);
        if (const std::size_t colon = found.rfind(':'); colon != std::string_view::npos) found.remove_prefix(colon + 1);
        return std::string(found);
    }

    // Up to and with the end of the start tag; true when it was "/>".
    Result<bool> attributes() {
        for (;;) {
            skip_blanks();
            if (rest_.starts_with("/>")) {
                rest_.remove_prefix(2);
                return true;
            }
            if (rest_.starts_with(">")) {
                rest_.remove_prefix(1);
                return false;
            }
            HF_TRY(const std::string ignored, name());
            skip_blanks();
            if (!rest_.starts_with("=")) return bad("an attribute has no value");
            rest_.remove_prefix(1);
            skip_blanks();
            if (rest_.empty() || (rest_.front() != '"' && rest_.front() != '\'')) return bad("a value has no quotes");
            const char quote = rest_.front();
            rest_.remove_prefix(1);
            if (!skip_past(std::string_view(&quote, 1))) return bad("it is cut off");
        }
    }

    Status entity(std::string& to) {
        const std::size_t end = rest_.find(';');
        if (end == std::string_view::npos || end > 12) return bad("an entity does not end");
        std::string_view entity = rest_.substr(1, end - 1);
        rest_.remove_prefix(end + 1);
        if (entity == "amp") {
            to += '&';
        } else if (entity == "lt") {
            to += '<';
        } else if (entity == "gt") {
            to += '>';
        } else if (entity == "quot") {
            to += '"';
        } else if (entity == "apos") {
            to += '\'';
        } else if (entity.starts_with("#")) {
            entity.remove_prefix(1);
            const int base = entity.starts_with("x") ? 16 : 10;
            if (base == 16) entity.remove_prefix(1);
            unsigned long code = 0;
            const auto [stop, error] = std::from_chars(entity.data(), entity.data() + entity.size(), code, base);
            if (error != std::errc() || stop != entity.data() + entity.size() || code == 0 || code > 0x10ffff ||
                (code >= 0xd800 && code < 0xe000))
                return bad("a character number is none");
            append_utf8(to, code);
        } else {
            return bad("it uses an entity that is not known");
        }
        return {};
    }

    Status element(XmlElement& into, std::size_t depth) {
        if (depth >= k_depth_max) return bad("it is too deep");
        if (++elements_ > k_elements_max) return bad("it has too many elements");
        if (!rest_.starts_with("<")) return bad("no element begins where one must");
        rest_.remove_prefix(1);
        HF_TRY(into.name, name());
        HF_TRY(const bool empty, attributes());
        if (empty) return {};
        for (;;) {
            if (rest_.empty()) return bad("it is cut off");
            if (rest_.front() == '&') {
                HF_DO(entity(into.text));
            } else if (rest_.starts_with("<![CDATA[")) {
                const std::size_t end = rest_.find("]]>");
                if (end == std::string_view::npos) return bad("it is cut off");
                into.text += rest_.substr(9, end - 9);
                rest_.remove_prefix(end + 3);
            } else if (rest_.starts_with("<!--")) {
                if (!skip_past("-->")) return bad("it is cut off");
            } else if (rest_.starts_with("</")) {
                rest_.remove_prefix(2);
                HF_TRY(const std::string end, name());
                if (end != into.name) return bad("an element ends under another name");
                skip_blanks();
                if (!rest_.starts_with(">")) return bad("an end tag does not end");
                rest_.remove_prefix(1);
                return {};
            } else if (rest_.front() == '<') {
                into.children.emplace_back();
                HF_DO(element(into.children.back(), depth + 1));
            } else {
                const std::size_t end = std::min(rest_.find_first_of("<&"), rest_.size());
                into.text += rest_.substr(0, end);
                rest_.remove_prefix(end);
            }
        }
    }

    std::string_view rest_;
    std::size_t elements_ = 0;
};

}    // namespace

const XmlElement* XmlElement::child(std::string_view wanted) const {
    for (const XmlElement& child : children)
        if (child.name == wanted) return &child;
    return nullptr;
}

std::string_view XmlElement::text_of(std::string_view wanted) const {
    const XmlElement* found = child(wanted);
    return found ? std::string_view(found->text) : std::string_view();
}

Result<XmlElement> parse_xml(std::string_view text) { return Parser(text).document(); }

std::string xml_escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '&') {
            out += "&amp;";
        } else if (c == '<') {
            out += "&lt;";
        } else if (c == '>') {
            out += "&gt;";
        } else {
            out += c;
        }
    }
    return out;
}

}    // namespace holdfast::storage
