#pragma once
// Machine keys: passwords that this program draws for unattended runs, and that nobody has to remember.
//
//   shape     "hfkey-" and seven groups of eight letters and digits, no two of which look alike: 280 random bits
//   cost      k_cost. Stretching makes guesses dearer; of 2^280 nobody guesses, so it would protect nothing, and each
//             command would pay for it. A password that came from anywhere else never gets this cost: only draw() makes
//             a MachineKey
//   restic    reads it as any other password file, and opens key files of this cost (0.14 and later tested)
//   source    docs/decisions/0013-machine-keys.md

#include "holdfast/base/secret.hpp"
#include "holdfast/format/crypto.hpp"

namespace holdfast::vault {

class MachineKey {
public:
    static constexpr format::KdfCost k_cost{1024, 8, 1};

    static MachineKey draw();
    const Secret& text() const { return text_; }

private:
    explicit MachineKey(Secret text) : text_(std::move(text)) {}
    Secret text_;
};

/// Whether a key file of this cost was made for a machine key: nothing else that is honest is as cheap.
bool is_machine_key_cost(const format::KdfCost& cost);

}    // namespace holdfast::vault
