<?php

declare(strict_types=1);

namespace Snug;

use RuntimeException;

/**
 * Snug could not be reached, or something else has answered in its place. What was asked for may have been done all
 * the same: a message with a `key` can be published again without being there twice.
 */
final class Unreachable extends RuntimeException implements SnugException
{
}
