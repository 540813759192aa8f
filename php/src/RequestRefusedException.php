<?php

declare(strict_types=1);

namespace Snug;

use RuntimeException;

/** Thrown if Snug refuses a request. Nothing was done. */
final class RequestRefusedException extends RuntimeException implements SnugException
{
    public function __construct(
        /** The reason, with a stable code. The exception's own code is the HTTP status. */
        public readonly Problem $problem,
    ) {
        parent::__construct("$problem->code: $problem->detail", $problem->status);
    }
}
