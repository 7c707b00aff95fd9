#include "holdfast/cli/provisional_file.hpp"

#include <unistd.h>

#include "holdfast/os/file.hpp"

namespace holdfast::cli {

Result<ProvisionalFile> ProvisionalFile::write(const std::string& path, std::string_view content) {
    HF_DO(os::make_folders(os::parent_folder(path)));
    HF_DO(os::write_new_file(path, as_bytes(content), 0600));
    return ProvisionalFile(path);
}

ProvisionalFile::~ProvisionalFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
}

}    // namespace holdfast::cli
