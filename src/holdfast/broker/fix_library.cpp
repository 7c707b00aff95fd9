// QuickFIX is loaded when the first FIX session is opened: with what it brings along it would be 1.6 MiB and 1.3 ms of
// every command.

#include <dlfcn.h>
#include <fmt/core.h>

#include "holdfast/broker/fix/wire.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::fix {

std::unique_ptr<Wire> open_initiator(const Settings& settings, Events events, std::string& error) {
    using Open = Wire* (*)(const Settings&, Events&, std::string&);
    const std::string path = os::parent_folder(os::parent_folder(os::own_program())) + "/lib/libholdfast_fix.so";
    // Never closed: QuickFIX's threads and statics do not survive that.
    void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    const auto open = library ? reinterpret_cast<Open>(::dlsym(library, "hf_fix_open_initiator")) : nullptr;
    if (!open) {
        const char* const why = ::dlerror();
        error = fmt::format("FIX needs a library of holdfast that cannot be loaded: {}", why ? why : path);
        return nullptr;
    }
    return std::unique_ptr<Wire>(open(settings, events, error));
}

}    // namespace holdfast::fix
