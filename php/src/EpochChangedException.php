<?php

declare(strict_types=1);

namespace Snug;

use RuntimeException;

/**
 * Thrown if a room is deleted while you read its messages. Messages after that belong to a new epoch, with offsets
 * that start again.
 */
final class EpochChangedException extends RuntimeException implements SnugException
{
}
