<?php

declare(strict_types=1);

namespace Snug;

use RuntimeException;

/** Snug has refused a request, and says why. Nothing was done. */
final class Refused extends RuntimeException implements SnugException
{
    public function __construct(public readonly Problem $problem)
    {
        parent::__construct("$problem->code: $problem->detail", $problem->status);
    }
}
