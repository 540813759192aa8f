<?php

declare(strict_types=1);

namespace Snug\Laravel\Console;

use RuntimeException;

/**
 * Thrown by a check, with the text to show.
 *
 * @internal
 */
final class CheckFailed extends RuntimeException
{
}
