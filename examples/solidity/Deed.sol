// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721URIStorage} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

/// Numbered deeds. Only a registrar may issue one; the holder may pass it on.
contract Deed is ERC721URIStorage, AccessControl {
    bytes32 public constant REGISTRAR = keccak256("REGISTRAR");

    constructor() ERC721("Deed", "DEED") {
        _grantRole(DEFAULT_ADMIN_ROLE, msg.sender);
        _grantRole(REGISTRAR, msg.sender);
    }

    /// Issues deed `id` to `holder`; `uri` says where the document can be found.
    function issue(address holder, uint256 id, string calldata uri) external onlyRole(REGISTRAR) {
        _safeMint(holder, id);
        _setTokenURI(id, uri);
    }

    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(ERC721URIStorage, AccessControl)
        returns (bool)
    {
        return super.supportsInterface(interfaceId);
    }
}
