"""The monitor's answer as one HTML page that needs nothing but itself: no script, no font and no picture from anywhere."""
