#pragma once
// The XML that object stores answer with: elements and text. Not more: no namespaces (prefixes are cut), attributes are
// skipped, no entities but the five and numbers, no DTD.
//
//   errors   corrupt: not well-formed, cut off, deeper than 32 or more than 200,000 elements
//   threads  values only

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::storage {

struct XmlElement {
    std::string name;
    std::string text;    // of this element alone, entities resolved
    std::vector<XmlElement> children;

    /// The first child of that name; nullptr when there is none.
    const XmlElement* child(std::string_view name) const;
    /// Its text; empty when there is none.
    std::string_view text_of(std::string_view name) const;
};

Result<XmlElement> parse_xml(std::string_view text);

/// `text` as the content of an element.
std::string xml_escaped(std::string_view text);

}    // namespace holdfast::storage
