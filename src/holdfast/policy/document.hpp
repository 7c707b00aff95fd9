#pragma once
// Is the text of a configuration file well-formed, and if not, where not? Pure.
//
//   json   RFC 8259, as base/json reads it: UTF-8, numbers within 64 bits or a double, at most 200 levels
//   toml   TOML 1.0
//   env    lines of KEY=value; "export " before it, empty lines and # comments; 'as it is', "with \" escapes", both over several
//          lines if need be; without quotes up to the line's end or " #" (docs/formats/configuration-versions.md)
//   text   UTF-8 without NUL; for what has no checker here
//   empty  a file with nothing but white space is a fault in each format: it is what a truncation leaves

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::policy {

enum class DocumentFormat { json, toml, env, text };

std::string_view to_text(DocumentFormat format);
/// By the file's name: "*.json", "*.toml", "*.env", ".env", ".env.production"; nullopt for all others.
std::optional<DocumentFormat> document_format(std::string_view path);

/// Where a text stops making sense, and why. Lines and columns begin with 1; columns count characters.
struct Fault {
    unsigned line = 1, column = 1;
    std::string reason;
};
/// "/etc/app.json:3:7: a comma is missing"
std::string fault_text(std::string_view file, const Fault& fault);

/// The first fault of the text; nullopt: there is none.
std::optional<Fault> find_fault(std::string_view text, DocumentFormat format);

}    // namespace holdfast::policy
