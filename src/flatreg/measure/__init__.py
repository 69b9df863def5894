"""How flat a trained model's loss is: curvature, sharpness, landscape."""
